"""How sure a model is, where it was trained and where it was not."""

import numpy as np

from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs._plot import GREY

LAB = Lab(
    name="calibration", items=("S3.10",), kind="training",
    title="Just as sure where it is wrong",
    question="A classifier trained on short clean texts gives probabilities. Do they match how often "
             "it is right: on texts like those, on texts with replaced tokens, on longer ones? And "
             "does dividing the logits by one fitted number help?",
    formula="ECE = Σ over 15 bins of (share of texts) · |accuracy − mean confidence|\n"
            "temperature scaling: softmax(z / T), T fitted on held-out texts by its likelihood "
            "(Guo et al. 2017)",
    says="Calibration is poor when the distribution shifts.",
    holds="It is poor before that, too, when a small training set is learned by heart; and one "
          "temperature, fitted where the model was trained, mends that but not the shift.",
    code="""
import numpy as np
from regard import ops, nn
logits = nn.tensor(np.array([[4.0, 0.0], [3.0, 0.0], [0.0, 5.0]]))
for temperature in (1.0, 3.0):
    print(ops.softmax(logits / temperature).numpy().max(1).round(3))   # the same answers, less sure
""",
    more=("ten times the training texts: less to mend",
          "fit T on the shifted texts: a single number goes some way there, too",
          "`smoothing=0.1` in `ops.cross_entropy`: calibrated in training instead of after it"))

VOCABULARY, WIDTH, BINS, FLIPPED = 12, 32, 15, 0.1
FIRST, SECOND = 0, 1


def texts(rng: np.random.Generator, rows: int, shortest: int, longest: int,
          replaced: float = 0.0) -> tuple[list[np.ndarray], np.ndarray]:
    """Texts with two marks, and which comes first; one label in ten is wrong. replaced: the share of
    tokens, marks included, that noise has overwritten."""
    made, labels = [], rng.integers(0, 2, rows)
    for label in labels:
        ids = rng.integers(2, VOCABULARY, rng.integers(shortest, longest + 1))
        early, late = np.sort(rng.choice(len(ids), 2, replace=False))
        ids[early], ids[late] = (FIRST, SECOND) if label == 0 else (SECOND, FIRST)
        noise = rng.random(len(ids)) < replaced
        made.append(np.where(noise, rng.integers(0, VOCABULARY, len(ids)), ids))
    return made, labels ^ (rng.random(rows) < FLIPPED)


class Reader(nn.Module):
    def __init__(self, seed: int) -> None:
        self.table = nn.Embedding(VOCABULARY, WIDTH, rng=seed, deviation=0.5)
        self.blocks = nn.Transformer(width=WIDTH, layers=2, heads=2, causal=False, context=64,
                                     positions="sinusoidal", head=False, seed=seed, deviation=0.0)
        self.answer = nn.Linear(WIDTH, 2, rng=seed + 1)

    def __call__(self, given: list[np.ndarray]) -> nn.Tensor:
        lengths = [len(ids) for ids in given]
        x = self.blocks.states(self.table(np.concatenate(given)), lengths)
        owner = np.repeat(np.arange(len(given)), lengths)
        mean = (owner[None] == np.arange(len(given))[:, None]) / np.array(lengths)[:, None]
        return self.answer(ops.matmul(nn.tensor(mean.astype(np.float32)), x))


def logits_of(model: Reader, given: list[np.ndarray]) -> np.ndarray:
    with nn.no_gradient():
        return np.concatenate([model(given[start:start + 100]).numpy().astype(np.float64)
                               for start in range(0, len(given), 100)])


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    return powers / powers.sum(1, keepdims=True)


def bins_of(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[BINS, 3]: share of texts, accuracy, mean confidence."""
    sure, right = p.max(1), p.argmax(1) == labels
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    return np.array([[(which == one).mean(), right[which == one].mean(), sure[which == one].mean()]
                     if (which == one).any() else [0, 0, 0] for one in range(BINS)])


def ece(p: np.ndarray, labels: np.ndarray) -> float:
    share, right, sure = bins_of(p, labels).T
    return float((share * abs(right - sure)).sum())


def nll(p: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean())


@LAB.runs
def run(lab: Context) -> None:
    count = lab.size(1500, quick=400)
    kinds = {"as trained": (8, 16, 0.0), "30 % of tokens replaced": (8, 16, 0.3),
             "longer texts": (32, 48, 0.0)}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    temperatures, shown = [], {}
    for seed in lab.seeds:
        given, labels = texts(lab.rng(seed, 1), 512, 8, 16)
        model = Reader(seed)

        def loss_of(rng: np.random.Generator, model: Reader = model) -> nn.Tensor:
            some = rng.integers(0, len(given), 32)
            return ops.cross_entropy(model([given[n] for n in some]), labels[some])

        fit(model, loss_of, steps=lab.size(900, quick=400), rate=3e-3, rng=lab.rng(seed, 2),
            tell=(lab, f"seed {seed}"))
        held, wanted = texts(lab.rng(seed, 3), count, 8, 16)
        logits = logits_of(model, held)
        grid = np.geomspace(0.5, 20, 120)
        temperature = float(grid[np.argmin([nll(probabilities(logits, t), wanted) for t in grid])])
        temperatures.append(temperature)
        for number, (kind, (shortest, longest, replaced)) in enumerate(kinds.items()):
            held, wanted = texts(lab.rng(seed, 4, number), count, shortest, longest, replaced)
            logits = logits_of(model, held)
            before, after = (probabilities(logits, t) for t in (1.0, temperature))
            found[kind].append({
                "accuracy": float((before.argmax(1) == wanted).mean()),
                "confidence": float(before.max(1).mean()), "ECE": ece(before, wanted),
                "ECE scaled": ece(after, wanted), "NLL": nll(before, wanted),
                "NLL scaled": nll(after, wanted)})
            if seed == lab.seed:
                shown[kind] = bins_of(before, wanted), bins_of(after, wanted)

    def of(kind: str, what: str) -> list[float]:
        return [one[what] for one in found[kind]]

    trained, *shifted = kinds
    for kind in shifted:
        lab.effect(f"ECE, {kind} over as trained", of(kind, "ECE"), of(trained, "ECE"),
                   at_least=lab.size(0.05, quick=0.0))
    lab.effect("ECE as trained, before over after temperature scaling", of(trained, "ECE"),
               of(trained, "ECE scaled"))
    lab.report("fitted temperatures", [round(t, 2) for t in temperatures])
    for kind in kinds:
        lab.report(f"{kind}: accuracy, confidence, ECE, ECE scaled, NLL, NLL scaled",
                   [round(float(np.mean(of(kind, what))), 3) for what in found[kind][0]])
    lab.number("measured", found)

    axes = lab.figure(2)
    for part, which, title in ((axes[0], 0, "As the model says it"),
                               (axes[1], 1, "After temperature scaling")):
        part.plot([0.5, 1], [0.5, 1], color=GREY, linewidth=1, linestyle="-", marker="")
        for kind, both in shown.items():
            some = both[which][both[which][:, 0] > 0.01]
            part.plot(some[:, 2], some[:, 1], label=kind)
        lab.label(part, title, x="confidence (share of 1)", y="accuracy (share of 1)")
