"""Temperature: from one key to all of them, and what becomes of the gradient."""

import numpy as np

from regard.labs._lab import Context, Lab
from regard.labs._rows import entropy_of, jacobian_norm, weights_of

LAB = Lab(
    name="temperature", items=("S1.20", "S1.23", "S2.18"), kind="arithmetic",
    title="One temperature from a single key to the mean of all",
    question="The same scores at another scale give a weight to one key or a little to each. Where "
             "is the transition, and what happens to the gradient at the sharp end?",
    formula="p = softmax(z / τ)        1 − p_max ≤ (n − 1) e^(−Δ/τ),  Δ = gap between the two largest",
    says="A low temperature makes attention pick, a high one makes it average; at 0 it is a hard "
         "maximum, through which no gradient passes.",
    holds="The *median* gradient with respect to scores vanishes as τ → 0. The *mean* does not: now "
          "and then two scores are nearly equal, and there the gradient is of the size 1/τ. The "
          "figure shows medians and says so.",
    code="""
import numpy as np, regard
z = np.random.default_rng(0).standard_normal((64, 1, 1)).astype(np.float32)
one = np.ones((1, 1, 1), np.float32)
for temperature in (0.1, 0.5, 1, 2, 10):
    _, extras = regard.attention(one, z, z, scale=1 / temperature, extras=["entropy"])
    print(temperature, extras.entropy.item() / np.log(64))
""",
    more=("scores of a larger spread: only their ratio to τ counts",
          "`regard generate --temp`: the same number, on a model's logits",
          "another number of keys: H / ln n compares them"))

TEMPERATURES = (0.1, 0.5, 1.0, 2.0, 10.0)
EXPECTED = (0.11, 0.64, 0.89, 0.97, 0.999)


@LAB.runs
def run(lab: Context) -> None:
    keys, rows = 64, lab.size(1000, quick=300)
    drawn = [lab.rng(seed).standard_normal((rows, keys)) for seed in lab.seeds]
    z = np.concatenate(drawn)
    for temperature, expected in zip(TEMPERATURES, EXPECTED):
        ratio = entropy_of(z, 1 / temperature).mean() / np.log(keys)
        lab.near(f"H / ln n, τ = {temperature:g}", ratio, expected, within=0.02)
    grid = np.geomspace(0.01, 20, 34)
    curve = np.array([entropy_of(z[:300], 1 / t) for t in grid]) / np.log(keys)
    lab.at_least("least change of H from one τ to the next larger one", np.diff(curve, axis=0).min(),
                 -1e-6)

    gaps = np.diff(np.sort(z, axis=1)[:, -2:], axis=1).ravel()
    medians, means, violations = [], [], 0
    cold = np.geomspace(0.01, 10, 13)
    for temperature in cold:
        lab.progress(f"gradients at τ = {temperature:.3g}")
        p = weights_of(z, 1 / temperature)
        others = np.sort(p, axis=1)[:, :-1].sum(axis=1)
        bound = (keys - 1) * np.exp(-gaps / temperature)
        violations += int((others > bound * (1 + 1e-9) + 1e-300).sum())
        norms = jacobian_norm(p) / temperature
        medians.append(float(np.median(norms)))
        means.append(float(norms.mean()))
    lab.equal("rows where 1 − p_max exceeds (n − 1) e^(−Δ/τ)", violations, 0)
    lab.at_most("median of ‖∂p/∂z‖, τ = 0.01", medians[0], 1e-6)
    lab.at_least("mean of ‖∂p/∂z‖, τ = 0.01: near-ties", means[0], 0.1)
    clear = gaps > 0.3
    top = weights_of(z[clear], 100.0)
    lab.at_most("distance to the hard maximum, τ = 0.01, gaps above 0.3",
                float((1 - top.max(axis=1)).max()), 1e-9)
    lab.number("temperatures", grid)
    lab.number("entropy over ln n", curve.mean(axis=1))
    lab.number("cold temperatures", cold)
    lab.number("median gradient", medians)
    lab.number("mean gradient", means)

    left, middle, right = lab.figure(3, width=3.9)
    order = np.argsort(-z[0])[:16]
    for temperature in (0.1, 1.0, 10.0):
        left.plot(range(16), weights_of(z[:1], 1 / temperature)[0, order], label=f"τ = {temperature:g}")
    lab.label(left, "The same scores, sharper and softer", x="key, by rank of its score",
              y="weight (share of 1)")
    middle.plot(grid, curve.mean(axis=1), marker="")
    middle.set_xscale("log")
    lab.label(middle, "Entropy", x="temperature τ", y="H / ln n (0: one key, 1: all alike)")
    right.plot(cold, medians, label="median row")
    right.plot(cold, means, label="mean: near-ties")
    right.set_xscale("log")
    right.set_yscale("log")
    lab.label(right, "Gradient of the weights", x="temperature τ", y="‖∂p/∂z‖ (per unit of score)")
