"""Trains a recurrent network with attention to write a word backwards, and draws where it looks:
python examples/python/reverser.py [OUT.png]. Needs `pip install 'regard[labs]'` for the figure."""

import sys

import matplotlib
import numpy as np

from regard import nn, train

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FIRST = 3  # ids 0, 1, 2 are padding, start and stop


def words(seed, count=32):
    rng = np.random.default_rng(seed)
    return [(FIRST + rng.integers(0, 26, rng.integers(3, 11))).tolist() for _ in range(count)]


model = nn.Seq2Seq(29, 29, width=32, hidden=96, cell="gru", bidirectional=True, context="bahdanau")
optimiser = train.AdamW(model, rate=train.cosine(5e-3, steps=600, warmup=30))
for step in range(600):
    source = words(step)
    loss = optimiser.step(model(source, [word[::-1] for word in source]))
    if step % 100 == 99:
        print(f"step {step + 1}: loss {loss:.3f}")

held_out = words(10**6, 200)
written = model.greedy(held_out, longest=12)
right = sum(one.ids == word[::-1] for one, word in zip(written, held_out))
print(f"{right} of {len(held_out)} words that it never saw are right")

word = [FIRST + LETTERS.index(letter) for letter in "attention"]
answer = model.greedy([word], longest=12)[0]
plt.imshow(answer.weights[:, :len(word)], cmap="viridis")
plt.xticks(range(len(word)), "attention")
plt.yticks(range(len(answer.ids)), [LETTERS[i - FIRST] for i in answer.ids])
plt.xlabel("looks at")
plt.ylabel("writes")
plt.savefig(sys.argv[1] if len(sys.argv) > 1 else "alignment.png")
