"""One word, two meanings: its state by layer."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit

LAB = Lab(
    name="context", items=("S4.3",), kind="training",
    title="A word's meaning is made on the way up",
    question="The table of embeddings has one row for *bank*, whether of a river or of money. A small "
             "model is trained on sentences of both kinds, in which words without a meaning stand "
             "between *bank* and what decides it. How alike are the states of *bank* after each layer?",
    formula="cos(x, y) of the states of *bank* in two sentences: of one meaning, and of two\n"
            "layer 0 is the embedding: 1 exactly, if positions come later (RoPE) or are left out",
    says="Words negotiate their meaning: in “river bank” and “central bank” the same word ends up "
         "with different vectors.",
    holds="Different vectors alone prove little: other neighbours change a state in any case. So the "
          "comparison is with pairs of the same meaning, whose other words differ just as much.",
    code="""
import numpy as np
from regard import nn
model = nn.Transformer(vocabulary=8, width=16, layers=2, heads=2, positions="rope")
a, b = model.show([1, 5]), model.show([2, 5])                  # the same last token after another
for layer, place in [(0, "embedding"), (0, "residual"), (1, "residual")]:
    x, y = (shown[layer, place].numpy()[-1] for shown in (a, b))
    print(layer, place, (x @ y / np.linalg.norm(x) / np.linalg.norm(y)).round(4))
""",
    more=("no words between: the first layer already decides",
          "`positions=\"learned\"`: compare before they are added, or layer 0 differs, too",
          "a word with one meaning in the same places: its states part less"))

RIVER = ("river", "muddy", "boat", "fish", "flood", "reeds")
MONEY = ("central", "rich", "loan", "credit", "vault", "bonds")
FILLER = ("the", "old", "big", "near", "that", "our")
AFTER_RIVER = ("eroded", "shore", "grass", "steep")
AFTER_MONEY = ("lent", "rates", "cash", "robbed")
WORDS = ("bank", *FILLER, *RIVER, *MONEY, *AFTER_RIVER, *AFTER_MONEY)
ID = {word: number for number, word in enumerate(WORDS)}
BETWEEN, LAYERS, WIDTH = 3, 4, 32
BANK = 2 + BETWEEN  # its place


def sentences(rng: np.random.Generator, money: np.ndarray) -> np.ndarray:
    """[rows, BANK + 3]: filler, what decides, filler three times, bank, two words of that meaning."""
    def some(words: tuple[str, ...], *shape: int) -> np.ndarray:
        return np.array([ID[word] for word in words])[rng.integers(0, len(words), shape)]

    rows = len(money)
    deciding = np.where(money[:, None], some(MONEY, rows, 1), some(RIVER, rows, 1))
    after = np.where(money[:, None], some(AFTER_MONEY, rows, 2), some(AFTER_RIVER, rows, 2))
    return np.concatenate([some(FILLER, rows, 1), deciding, some(FILLER, rows, BETWEEN),
                           np.full((rows, 1), ID["bank"]), after], 1)


def states(model: nn.Transformer, ids: np.ndarray) -> np.ndarray:
    """Of bank, layer 0 to LAYERS: [rows, LAYERS + 1, WIDTH]"""
    found = []
    for text in ids:
        shown = model.show(text[:BANK + 1])
        every = [(0, "embedding"), *((layer, "residual") for layer in range(LAYERS))]
        found.append([np.array(shown[which].numpy()[BANK]) for which in every])
    return np.array(found, np.float64)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over all pairs, by layer: a, b [rows, layers, width]. Pairs of equal rows are left out."""
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    every = np.einsum("ald,bld->abl", a, b)
    return every[~np.eye(len(a), dtype=bool)].mean(0)


@LAB.runs
def run(lab: Context) -> None:
    one, two, start = [], [], []
    for seed in lab.seeds:
        model = nn.Transformer(vocabulary=len(WORDS), width=WIDTH, layers=LAYERS, heads=2,
                               positions="rope", seed=seed, deviation=0.05)

        def loss_of(rng: np.random.Generator, model: nn.Transformer = model) -> nn.Tensor:
            ids = sentences(rng, rng.integers(0, 2, 32) == 1)
            return ops.cross_entropy(model(ids[:, :-1], [ids.shape[1] - 1] * len(ids)), ids[:, 1:])

        rows = lab.size(24, quick=12)
        texts = [sentences(lab.rng(seed, 1, int(money)), np.full(rows, money))
                 for money in (False, True)]
        start.append(cosines(*(states(model, ids) for ids in texts)))
        fit(model, loss_of, steps=lab.size(800, quick=150), rate=3e-3, rng=lab.rng(seed, 2),
            tell=(lab, f"seed {seed}"))
        river, money = (states(model, ids) for ids in texts)
        two.append(cosines(river, money))
        one.append((cosines(river, river) + cosines(money, money)) / 2)
    lab.near("cosine of two meanings at layer 0", float(np.min([c[0] for c in two])), 1.0, within=1e-9)
    lab.at_most("cosine of two meanings after the last layer, largest of three seeds",
                float(np.max([c[-1] for c in two])), lab.size(0.7, quick=0.95))
    lab.effect("cosine after the last layer, one meaning over two", [c[-1] for c in one],
               [c[-1] for c in two], at_least=lab.size(0.2, quick=0.02))
    for name, found in (("one meaning", one), ("two meanings", two), ("two meanings, untrained", start)):
        lab.number(f"cosine by layer, {name}", found)
        lab.report(f"cosine after the last layer, {name}", float(np.mean([c[-1] for c in found])))

    axes = lab.figure(width=5)
    for name, found in (("one meaning", one), ("two meanings", two), ("two, untrained", start)):
        axes.plot(range(LAYERS + 1), np.mean(found, 0), label=name)
    axes.set_xticks(range(LAYERS + 1))
    lab.label(axes, "How alike the states of “bank” are", x="layer (0: embedding)",
              y="mean cosine of two sentences")
