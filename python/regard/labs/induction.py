"""Induction: what followed the last time? One layer cannot ask that, two can."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit, predicted, weights
from regard.labs._plot import COLOURS, GREY

LAB = Lab(
    name="induction", items=("S1.17",), kind="training",
    title="Looking up what followed needs two layers",
    question="A text names twelve of 64 tokens in a random order, then asks for them: what came "
             "after this one? The key that holds the answer must know which token stands before it, "
             "and only a layer below can have told it. Does training find that?",
    formula="… A B … A → ?          layer 1: a head that looks one token back tells B that A precedes\n"
            "                       layer 2: a head of the second A matches that, and copies B\n"
            "induction score = mean weight, from a token asked for, on the token after its earlier place",
    says="Stacked heads compose: capacity is said to grow exponentially and samples to be used "
         "well, and many heads to approximate any map of sequences.",
    holds="Growth and efficiency are asserted, not shown, and nothing here shows them. The theorem on "
          "approximation needs positions and MLPs beside heads. What is shown is one composition: a "
          "thing that two layers learn and one does not. The gap of 0.5 was set beforehand and held "
          "in the first run; the 0.5 of the induction score was set from that run.",
    code="""
import numpy as np
from regard import nn, ops, train
model = nn.Transformer(vocabulary=64, width=64, layers=2, heads=1, inner=64, context=34,
                       positions="rope", deviation=0.05, tied=False)
optimiser = train.AdamW(model, rate=train.cosine(4e-3, steps=250, warmup=12))
for step in range(250):
    rng = np.random.default_rng(step)
    names = np.argsort(rng.random((32, 64)), axis=1)[:, :12]
    at = np.argsort(rng.random((32, 11)), axis=1)
    pairs = np.stack([np.take_along_axis(names, at + n, 1) for n in (0, 1)], -1).reshape(32, -1)
    ids = np.concatenate([names, pairs], 1)
    asked = np.tile([n >= 12 and n % 2 == 0 for n in range(33)], 32)
    loss = optimiser.step(ops.cross_entropy(model(ids[:, :-1], [33] * 32), ids[:, 1:], weights=asked))
print(loss)
""",
    more=("`positions=\"none\"`: only the causal mask is left to tell a neighbour from the rest",
          "half the steps, then a quarter: the rise comes late and all at once",
          "one layer of width 256: more numbers, and still the answer is not there",
          "more heads in one layer: each sees a single step back, and none of them two"))

NAMES, ASKED, VOCABULARY = 12, 11, 64
LENGTH = NAMES + 2 * ASKED - 1  # what the model reads: the last answer is not among it


def texts(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """ids [rows, LENGTH + 1]: NAMES different tokens, then pairs (one of them, what followed it);
    and at [rows, ASKED], the earlier place of each token asked for."""
    names = np.argsort(rng.random((rows, VOCABULARY)), axis=1)[:, :NAMES]
    at = np.argsort(rng.random((rows, NAMES - 1)), axis=1)[:, :ASKED]
    pairs = np.stack([np.take_along_axis(names, at + step, 1) for step in (0, 1)], -1)
    return np.concatenate([names, pairs.reshape(rows, -1)], 1), at


ASKING = NAMES + 2 * np.arange(ASKED)


def loss_on(model: nn.Transformer, rng: np.random.Generator, rows: int) -> nn.Tensor:
    ids, _ = texts(rng, rows)
    asked = np.zeros((rows, LENGTH))
    asked[:, ASKING] = 1
    return ops.cross_entropy(model(ids[:, :-1], [LENGTH] * rows), ids[:, 1:], weights=asked)


def accuracy(model: nn.Transformer, ids: np.ndarray) -> float:
    """Share of the answers that are right."""
    best = predicted(model, ids[:, :-1])[:, ASKING].argmax(-1)
    return float((best == ids[:, ASKING + 1]).mean())


def scores(model: nn.Transformer, ids: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each head of each layer: mean weight one token back, and the induction score."""
    back, after = [], []
    for text, places in zip(ids, at):
        shown = model.show(text[:-1])
        maps = np.stack([weights(shown, layer) for layer in range(model.config.layers)])
        rows = np.arange(1, NAMES)
        back.append(maps[:, :, rows, rows - 1].mean(-1))
        after.append(maps[:, :, ASKING, places + 1].mean(-1))
    return np.mean(back, 0), np.mean(after, 0)


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(600, quick=250)
    curves: dict[int, list[list[float]]] = {1: [], 2: []}
    at_steps = list(range(0, steps + 1, 50))
    back, after, models = [], [], []
    for seed in lab.seeds:
        held, at = texts(lab.rng(seed, 1), lab.size(128, quick=64))
        for layers in (1, 2):
            model = nn.Transformer(vocabulary=VOCABULARY, width=64, layers=layers, heads=1,
                                   inner=64, context=LENGTH, positions="rope", seed=seed,
                                   deviation=0.05, tied=False)
            curve: list[float] = []
            fit(model, lambda rng, model=model: loss_on(model, rng, 32), steps=steps, rate=4e-3,
                rng=lab.rng(seed, 2), each=lambda step, c=curve, m=model: c.append(accuracy(m, held)),
                tell=(lab, f"seed {seed}, layers {layers}"))
            curves[layers].append(curve)
        found = scores(model, held[:16], at[:16])
        back.append(float(found[0][0].max()))
        after.append(float(found[1][1].max()))
        models.append((model, held[0], int(found[1][1].argmax())))
    last = {layers: [curve[-1] for curve in found] for layers, found in curves.items()}
    lab.effect("accuracy of two layers over one", last[2], last[1], at_least=0.5)
    if not lab.quick:
        lab.at_least("accuracy of two layers, least of three seeds", min(last[2]), 0.95)
        lab.at_most("accuracy of one layer, largest of three seeds", max(last[1]), 0.4)
        lab.at_least("induction score of the best head in layer 2, least of three seeds",
                     min(after), 0.5)
    for name, values in (("accuracy of one layer", last[1]), ("accuracy of two layers", last[2]),
                         ("induction score, best head of layer 2", after),
                         ("weight one token back, best head of layer 1", back)):
        lab.report(f"{name}, mean", float(np.mean(values)))
    lab.report("a guess among the other tokens named", 1 / (NAMES - 1))
    lab.number("steps", at_steps)
    lab.number("accuracy, one layer", curves[1])
    lab.number("accuracy, two layers", curves[2])

    left, right = lab.figure(2)
    for layers, colour in ((1, COLOURS[1]), (2, COLOURS[0])):
        for number, curve in enumerate(curves[layers]):
            left.plot(at_steps, curve, color=colour, linestyle="-" if layers == 2 else "--",
                      marker="o" if layers == 2 else "s", markersize=3,
                      label=None if number else ("one layer" if layers == 1 else "two layers"))
    left.axhline(1 / (NAMES - 1), color=GREY, linewidth=1, label="a guess")
    lab.label(left, "What followed this token?", x="training steps", y="accuracy (share of 1)")
    model, text, head = models[0]
    lab.heat(right, weights(model.show(text[:-1]), 1)[head], unit="weight (share of 1)", low=0, high=1)
    lab.label(right, "The induction head of layer 2", x="key (place in the text)",
              y="query (place in the text)")
