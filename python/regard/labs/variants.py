"""Other scores, other normalisers, other readings of the sum, on one task."""

import time
from typing import Any

import numpy as np

import regard
from regard import nn, ops
from regard.labs import what_where
from regard.labs._lab import Context, Lab
from regard.labs._learn import fit
from regard.labs.what_where import ITEMS, VALUES, WIDTH

LAB = Lab(
    name="variants", items=("S0.3", "S0.9", "S0.10", "S0.15", "S0.22"), kind="training",
    title="The choices that the formula leaves open",
    question="That relevance is a dot product, that softmax turns it into weights, and that the sum is "
             "taken as it is, are choices. Others can be put in their place, one at a time. Which of them "
             "learn to look something up, how fast, and how spread are their weights?",
    formula="y = ρ( Σ_j w(u_j) v_j / Σ ),  u = normalise(score(q, k))\n"
            "score: scaled dot, bilinear, additive, cosine, distance     w: u or u²\n"
            "normalise: softmax, sparsemax, entmax, sigmoid, relu        ρ: identity, norm, MLP, gate, scalar",
    says="Five assumptions lead to the formula, and better choices may exist for each. A model that has "
         "a free number for each pair needs N² of them and fixes N.",
    holds="One small task ranks nothing in general: the table says that most choices can learn it, and at "
          "which step. With softmax, u² renormalised is softmax at half the temperature. Milliseconds are "
          "of the machine that wrote the page, and no acceptance rests on them.",
    code="""
import numpy as np, regard
q, k = np.random.default_rng(0).standard_normal((2, 6, 1, 4))
for similarity in ("dot", "cosine", "negative_distance"):
    for normaliser in ("softmax", "sparsemax", "sigmoid"):
        p = regard.attention(q, k, np.eye(6)[:, None], similarity=similarity, normaliser=normaliser)
        print(similarity, normaliser, p[0, 0].round(2))
""",
    more=("`normaliser=\"hardmax\"`: no gradient reaches queries and keys, and nothing is learned",
          "`regard.gumbel_softmax(1.0, seed)`: draws instead of mixtures",
          "any function as `score`: `lambda s: 5 * np.tanh(s / 5)`"))

DIM = 16
COSINE_SCALE = 8.0  # cosines lie in −1 … 1: without a factor no row could become sharp


class Head(nn.Module):
    """The look-up of the lab what-where, with one choice exchanged."""

    def __init__(self, choice: str, rng: np.random.Generator) -> None:
        self.choice = choice
        self.query, self.key, self.value = (nn.Linear(WIDTH, DIM, bias=False, rng=rng)
                                            for _ in range(3))
        self.out = nn.Linear(DIM, VALUES, bias=False, rng=rng)
        if choice == "bilinear":
            self.extra = nn.normal(rng, DIM, DIM, deviation=DIM ** -0.5)
        elif choice == "additive":
            self.extra = nn.normal(rng, DIM, deviation=1.0)
        elif choice == "ρ LayerNorm":
            self.rho = nn.LayerNorm(DIM)
        elif choice == "ρ MLP":
            self.rho = nn.Mlp(DIM, 2 * DIM, rng=rng)
        elif choice == "ρ gate":
            self.rho = nn.Linear(WIDTH, DIM, rng=rng)
        elif choice == "ρ scalar":
            self.rho = nn.Linear(DIM, 1, rng=rng)
            self.out = nn.Linear(1, VALUES, rng=rng)

    def options(self) -> dict[str, Any]:
        choice = self.choice
        if choice in ("bilinear", "additive"):
            return {"similarity": getattr(regard, choice)(ops.captured(self.extra, choice))}
        if choice == "cosine":
            return {"similarity": "cosine", "scale": COSINE_SCALE}
        if choice == "negative_distance":
            return {"similarity": choice}
        if choice in ("sparsemax", "entmax15", "sigmoid", "relu", "hardmax"):
            return {"normaliser": choice}
        return {"weight": lambda p: p * p} if choice == "u² as it is" else {}

    def mix(self, queries: np.ndarray, items: np.ndarray, v: nn.Tensor) -> nn.Tensor:
        q, k = (part.reshape(-1, 1, DIM) for part in
                (self.query(nn.tensor(queries)), self.key(nn.tensor(items))))
        segments = [regard.Segment(n, 1, n * ITEMS, ITEMS) for n in range(len(queries))]
        return ops.attention(q, k, v, segments=segments, **self.options())

    def __call__(self, queries: np.ndarray, items: np.ndarray) -> nn.Tensor:
        v = self.value(nn.tensor(items)).reshape(-1, 1, DIM)
        mixed = self.mix(queries, items, v).reshape(-1, DIM)
        if self.choice == "ρ gate":
            mixed = mixed * ops.sigmoid(self.rho(nn.tensor(queries)))
        elif self.choice.startswith("ρ"):
            mixed = self.rho(mixed)
        return self.out(mixed)

    def entropy(self, queries: np.ndarray, items: np.ndarray) -> float:
        """Of the weights divided by their sum, nats, mean."""
        unit = np.tile(np.eye(ITEMS, dtype=np.float32), (len(queries), 1))[:, None]
        with nn.no_gradient():
            p = self.mix(queries, items, nn.tensor(unit)).numpy()[:, 0].astype(np.float64)
        p = p / np.maximum(p.sum(1, keepdims=True), 1e-12)
        return float(-(p * np.log(np.maximum(p, 1e-12))).sum(1).mean())


class FreeScores(nn.Module):
    """The baseline: a number for each pair of places, whatever stands there. Fixes N."""

    def __init__(self, places: int) -> None:
        self.scores = nn.parameter(np.zeros((places, places), np.float32))

    def __call__(self, v: nn.Tensor) -> nn.Tensor:
        if v.shape[0] != self.scores.shape[0]:
            raise ValueError(f"FreeScores: v has {v.shape[0]} places, scores are for "
                             f"{self.scores.shape[0]}; make another model for another length")
        return ops.softmax(self.scores) @ v


CHOICES = ("scaled dot", "bilinear", "additive", "cosine", "negative_distance", "sparsemax", "entmax15",
           "sigmoid", "relu", "hardmax", "u² as it is", "ρ LayerNorm", "ρ MLP", "ρ gate", "ρ scalar")


def homogeneity(rng: np.random.Generator, square: bool) -> float:
    """|f(2u) − 2 f(u)| / |2 f(u)| of f(u) = Σ w(u_j) v_j, u being softmax's weights, w(u) = u or u²."""
    q, k, v = (rng.standard_normal((n, 1, 4)) for n in (1, 6, 6))
    once, twice = (regard.attention(q, k, v, weight=lambda p, f=factor: (f * p) * (f * p) if square
                                    else f * p) for factor in (1.0, 2.0))
    return float(np.abs(twice - 2 * once).max() / np.abs(2 * once).max())


@LAB.runs
def run(lab: Context) -> None:
    steps = lab.size(800, quick=250)
    choices = lab.size(CHOICES, quick=("scaled dot", "additive", "sparsemax", "hardmax"))
    table: dict[str, dict[str, list[float]]] = {}
    for choice in choices:
        rows: dict[str, list[float]] = {"loss": [], "steps to 0.5 nats": [], "entropy": [], "ms": []}
        for seed in lab.seeds:
            head = Head(choice, lab.rng(seed, 1))

            def loss_of(rng: np.random.Generator, head: Head = head) -> nn.Tensor:
                queries, items, answers = what_where.batch(rng, 64)
                return ops.cross_entropy(head(queries, items), answers)

            begin = time.perf_counter()
            losses = np.array(fit(head, loss_of, steps=steps, rate=2e-2, rng=lab.rng(seed, 2),
                                  tell=(lab, f"{choice}, seed {seed}")))
            rows["ms"].append(1e3 * (time.perf_counter() - begin) / steps)
            smooth = np.convolve(losses, np.ones(10) / 10, "valid")
            reached = np.flatnonzero(smooth < 0.5)
            rows["steps to 0.5 nats"].append(float(reached[0]) if len(reached) else float("inf"))
            rows["loss"].append(float(losses[-20:].mean()))
            rows["entropy"].append(head.entropy(*what_where.batch(lab.rng(seed, 3), 200)[:2]))
        table[choice] = rows
    lab.effect("loss of hardmax, through which no gradient flows, over scaled dot and softmax",
               table["hardmax"]["loss"], table["scaled dot"]["loss"], at_least=0.3)
    lab.at_most("loss of scaled dot and softmax, largest of three seeds (a guess: 2.48)",
                max(table["scaled dot"]["loss"]), lab.size(0.1, quick=1.0))
    lab.at_most("f(2u) against 2 f(u), weights u", homogeneity(lab.rng(), False), 1e-6)
    lab.at_least("f(2u) against 2 f(u), weights u²", homogeneity(lab.rng(), True), 0.5)
    free, message = FreeScores(ITEMS), ""
    try:
        free(nn.tensor(np.zeros((2 * ITEMS, DIM), np.float32)))
    except ValueError as error:
        message = str(error)
    lab.check("free scores at twice the length", message or "ran", "refused, naming both lengths",
              f"{2 * ITEMS}" in message and f"{ITEMS}" in message)
    q = lab.rng().standard_normal((2 * ITEMS, 1, DIM))
    lab.check("attention at twice the length", list(regard.attention(q, q, q).shape),
              "runs", regard.attention(q, q, q).shape == q.shape)
    lab.report("parameters of free scores at N = 8, 64, 1024; of W_Q and W_K at any",
               [8**2, 64**2, 1024**2, 2 * WIDTH * DIM])
    for choice, rows in table.items():
        lab.report(f"{choice}: loss, steps to 0.5 nats, entropy, ms a step",
                   [float(f"{np.mean(values):.3g}") for values in rows.values()])
    lab.number("table", {choice: {what: values for what, values in rows.items() if what != "ms"}
                         for choice, rows in table.items()})

    axes = lab.figure(2, height=4.2)
    for part, what, x in ((axes[0], "loss", "last loss (nats)"),
                          (axes[1], "entropy", "entropy of the weights (nats)")):
        values = [np.mean(rows[what]) for rows in table.values()]
        spread = [np.std(rows[what], ddof=1) for rows in table.values()]
        part.barh(range(len(table)), values, xerr=spread, color="#0072B2")
        part.set_yticks(range(len(table)), list(table))
        part.invert_yaxis()
        lab.label(part, "What is learned" if what == "loss" else "How spread the weights are", x=x,
                  y="the choice that is exchanged")
