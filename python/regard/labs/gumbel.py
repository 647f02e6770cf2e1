"""Gumbel noise: softmax as a way to draw."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._rows import weights_of

LAB = Lab(
    name="gumbel", items=("S0.19",), kind="arithmetic",
    title="Drawing a key instead of mixing all",
    question="Softmax is one normaliser among several. Gumbel-softmax draws one key with softmax's "
             "probabilities, or nearly one, so that gradients still pass. How near?",
    formula="p = softmax((z + g) / τ),  g = −ln(−ln u),  u uniform\n"
            "P(argmax(z + g) = i) = softmax(z)_i",
    says="Scores become weights by softmax, or by a Gumbel-softmax where a choice is wanted.",
    code="""
import numpy as np, regard
z = np.array([1, 0, -1, 0.5], np.float32)[:, None, None]
ask = np.ones((100_000, 1, 1), np.float32)                             # so many draws
draw = regard.gumbel_softmax(1.0, seed=1, sample="hard")
_, extras = regard.attention(ask, z, z, scale=1.0, normaliser=draw, extras=["key_sums"])
print(extras.key_sums.ravel() / 100_000)                               # softmax(z), nearly
""",
    more=("`sample=\"straight_through\"`: hard forwards, soft backwards",
          "a temperature between: 0.5 is common in training, and lowered on the way",
          "the draws are keyed on (seed, sequence, head, i, j): threads change none of them"))

SCORES = np.array([1.0, 0.0, -1.0, 0.5])


@LAB.runs
def run(lab: Context) -> None:
    draws = lab.size(100_000, quick=30_000)
    expected = weights_of(SCORES[None])[0]
    k = SCORES.astype(np.float32)[:, None, None]
    q = np.ones((draws, 1, 1), np.float32)

    def mean_and_top(temperature: float, seed: int, sample: str) -> tuple[np.ndarray, float]:
        normaliser = regard.gumbel_softmax(temperature, seed, sample)
        _, extras = regard.attention(q, k, k, scale=1.0, normaliser=normaliser, top=1,
                                     extras=["key_sums", "top"])
        return extras.key_sums.ravel() / draws, float(extras.top_weights.mean())

    def distance(p: np.ndarray) -> float:
        return float(np.abs(p - expected).sum() / 2)

    hard = [mean_and_top(1.0, seed, "hard")[0] for seed in lab.seeds]
    lab.at_most(f"total variation of {draws:,} draws from softmax, worst seed",
                max(map(distance, hard)), 0.01)
    temperatures = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    means, tops = [], []
    for temperature in temperatures:
        lab.progress(f"τ = {temperature:g}")
        found = [mean_and_top(temperature, seed, "soft") for seed in lab.seeds]
        means.append(np.mean([mean for mean, _ in found], axis=0))
        tops.append(float(np.mean([top for _, top in found])))
    away = [distance(mean) for mean in means]
    lab.at_most("total variation of the mean weights from softmax, τ = 0.1", away[0], 0.01)
    lab.at_least("the same, τ = 2: flatter", away[4], 0.05)
    lab.near("mean largest weight, τ = 0.1", tops[0], 0.95, within=0.01)
    lab.near("mean largest weight, τ = 2", tops[4], 0.47, within=0.01)
    lab.number("temperatures", temperatures)
    lab.number("mean weights", np.array(means))
    lab.number("largest weight", tops)

    left, right = lab.figure(2)
    at = np.arange(4)
    for shift, p, name, hatch in ((-0.3, expected, "softmax", ""), (-0.1, hard[0], "draws", "//"),
                                  (0.1, means[0], "mean, τ = 0.1", "\\\\"),
                                  (0.3, means[4], "mean, τ = 2", "xx")):
        left.bar(at + shift, p, 0.2, label=name, hatch=hatch)
    left.set_xticks(at, [f"{score:g}" for score in SCORES])
    lab.label(left, "How often, and how much", x="score of the key", y="weight (share of 1)")
    right.plot(temperatures, tops, label="largest weight")
    right.plot(temperatures, away, label="distance of the mean from softmax")
    right.set_xscale("log")
    lab.label(right, "Between drawing and mixing", x="temperature τ",
              y="weight; total variation (share of 1)")
