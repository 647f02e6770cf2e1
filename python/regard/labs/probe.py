"""Probe: what a small classifier reads out of a head, less what it would read out of anything."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs._plot import COLOURS, GREY

LAB = Lab(
    name="probe", items=("S4.18",), kind="training",
    title="A probe without a control proves little",
    question="A linear classifier on the frozen output of a head tells which class the word one back "
             "belongs to. Does the head keep the class, or does the classifier just learn words by "
             "heart? The same classifier on classes that were dealt out at random answers that.",
    formula="probe    argmin_W ‖H W − Y‖² + λ‖W‖²,  H the head's outputs, Y the class of a word\n"
            "control  the same with a class dealt out at random to each word\n"
            "selectivity = accuracy of the probe − accuracy of the control",
    says="Small classifiers on frozen heads show what those heads have learned.",
    holds="A probe with enough numbers reads labels out of anything that tells words apart, so an "
          "accuracy alone says nothing; the difference from a control does (Hewitt and Liang 2019). "
          "And what can be read is not therefore used. The threshold of 0.15 was set from a first "
          "run.",
    code="""
import numpy as np
rng = np.random.default_rng(0)
words, classes = rng.standard_normal((48, 16)), np.arange(48) // 12      # random vectors of words
ids = rng.integers(0, 48, 2000)
h = words[ids] + 0.1 * rng.standard_normal((2000, 16))
for name, labels in (("by number", classes), ("dealt out", rng.permutation(classes))):
    y = np.eye(4)[labels[ids]]
    w = np.linalg.solve(h.T @ h + np.eye(16), h.T @ y)
    print(name, (np.argmax(h @ w, 1) == labels[ids]).mean())             # alike: nothing is kept
""",
    more=("probe the residual stream in place of a head: more numbers, and a better control, too",
          "two classes in place of four",
          "a model that was not trained: the probe still reads something"))

CLASSES, WORDS, LENGTH, WIDTH, HEADS, LAYERS = 4, 12, 32, 64, 4, 2
VOCABULARY = CLASSES * WORDS


def texts(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Words whose class follows, nine times in ten, from the classes of the two in front."""
    follows = np.random.default_rng(5).integers(0, CLASSES, (CLASSES, CLASSES))
    kinds = rng.integers(0, CLASSES, (rows, LENGTH + 1))
    kept = rng.random((rows, LENGTH + 1)) < 0.9
    for at in range(2, LENGTH + 1):
        kinds[:, at] = np.where(kept[:, at], follows[kinds[:, at - 2], kinds[:, at - 1]],
                                kinds[:, at])
    return kinds * WORDS + rng.integers(0, WORDS, kinds.shape)


def loss_on(model: nn.Transformer, rng: np.random.Generator, rows: int) -> nn.Tensor:
    ids = texts(rng, rows)
    return ops.cross_entropy(model(ids[:, :-1], [LENGTH] * rows), ids[:, 1:])


def outputs(model: nn.Transformer, ids: np.ndarray) -> np.ndarray:
    """What each head hands over: [layers, heads, tokens of all texts but their first, dim]."""
    shown = model.show(ids, [LENGTH] * len(ids))
    kept = np.arange(ids.size).reshape(ids.shape)[:, 1:].reshape(-1)
    return np.stack([shown[layer, "attended"].numpy()[kept].transpose(1, 0, 2)
                     for layer in range(LAYERS)])


def read(h: np.ndarray, labels: np.ndarray, test_h: np.ndarray, test_labels: np.ndarray) -> float:
    """Accuracy on unseen texts of a ridge classifier with an offset."""
    def with_one(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.ones((len(x), 1))], 1).astype(np.float64)

    x, y = with_one(h), np.eye(CLASSES)[labels]
    w = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)
    return float((np.argmax(with_one(test_h) @ w, 1) == test_labels).mean())


@LAB.runs
def run(lab: Context) -> None:
    steps, rows = lab.size(600, quick=200), lab.size(200, quick=80)
    found, control = [], []
    for seed in lab.seeds:
        model = nn.Transformer(vocabulary=VOCABULARY, width=WIDTH, layers=LAYERS, heads=HEADS,
                               inner=128, context=LENGTH, positions="rope", seed=seed,
                               deviation=0.05, tied=False)
        fit(model, lambda rng, model=model: loss_on(model, rng, 16), steps=steps, rate=4e-3,
            rng=lab.rng(seed, 1), tell=(lab, f"seed {seed}"))
        ids, unseen = texts(lab.rng(seed, 2), rows)[:, :-1], texts(lab.rng(seed, 3), rows)[:, :-1]
        h, test_h = outputs(model, ids), outputs(model, unseen)
        dealt = lab.rng(seed, 4).permutation(np.arange(VOCABULARY) // WORDS)
        for into, classes in ((found, np.arange(VOCABULARY) // WORDS), (control, dealt)):
            before, test_before = classes[ids[:, :-1]].reshape(-1), classes[unseen[:, :-1]].reshape(-1)
            into.append([[read(h[layer, head], before, test_h[layer, head], test_before)
                          for head in range(HEADS)] for layer in range(LAYERS)])
    probe, by_chance = np.array(found), np.array(control)  # [seeds, layers, heads]
    selectivity = probe - by_chance
    best = selectivity.reshape(len(probe), -1).argmax(1)
    of_best = [values.reshape(len(probe), -1)[np.arange(len(probe)), best]
               for values in (probe, by_chance)]
    lab.effect("class of the word one back, best head: probe over control", *of_best,
               at_least=0.15 if not lab.quick else 0.0)
    lab.report("accuracy of the probe, best head, mean", float(of_best[0].mean()))
    lab.report("accuracy of the control on the same head, mean", float(of_best[1].mean()))
    lab.report("probe minus control, mean of all heads", float(selectivity.mean()))
    lab.report("a guess", 1 / CLASSES)
    lab.number("probe", probe)
    lab.number("control", by_chance)

    axes = lab.figure()
    at = np.arange(LAYERS * HEADS)
    for values, name, colour, shift, hatch in ((probe, "classes of the language", COLOURS[0], -0.2, ""),
                                               (by_chance, "classes dealt out", COLOURS[1], 0.2, "//")):
        flat = values.reshape(len(values), -1)
        axes.bar(at + shift, flat.mean(0), 0.38, yerr=flat.std(0, ddof=1), color=colour, label=name,
                 hatch=hatch, edgecolor="white", capsize=2)
    axes.axhline(1 / CLASSES, color=GREY, linewidth=1, label="a guess")
    axes.set_xticks(at, [f"{layer}.{head}" for layer in range(LAYERS) for head in range(HEADS)])
    axes.set_ylim(0, 1.3)  # room for the legend
    lab.label(axes, "The class of the word one back", x="layer.head",
              y="accuracy on unseen texts (share of 1)")
