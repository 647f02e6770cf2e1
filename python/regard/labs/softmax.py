"""Softmax: what changes nothing, what overflows, and its gradient."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._rows import entropy_of, weights_of

LAB = Lab(
    name="softmax", items=("S0.18", "S1.8", "S2.17", "S2.19", "S2.20", "S4.7"), kind="arithmetic",
    title="Softmax: exponentiate, then divide",
    question="Why not divide each score by the sum of all scores? What may be added to scores, what "
             "may they be multiplied by? And what flows back through the weights?",
    formula="p_i = e^(z_i − m) / Σ_j e^(z_j − m),  m = max z\n"
            "∂p_i/∂z_j = p_i (δ_ij − p_j)        dz = p ∘ (dp − ⟨p, dp⟩)",
    says="Softmax divides each score by the sum of all; it is indifferent to a constant added to "
         "the scores and to their scale; every key keeps some weight; its maximum is soft, so "
         "gradients pass.",
    holds="Scores are *exponentiated* first: the plain ratio gives negative weights, and nothing at "
          "all where scores sum to 0. A constant added changes no weight; a factor keeps the order "
          "and changes the weights. \"Every key keeps some weight\" is true of real numbers: in f32 "
          "regard gives exactly 0 to what lies more than 87.3 below the largest score.",
    code="""
import numpy as np, regard
z = np.array([2.0, 1.0, -1.0, -1.5])
q, k, v = np.ones((1, 1, 1)), z[:, None, None], np.eye(4)[:, None]
print(regard.attention(q, k, v, scale=1.0).ravel())                    # softmax(z)
print(regard.attention(q, k, v, scale=1.0, score=lambda s: s + 100).ravel())   # the same
print(z / z.sum())                                                     # no weights at all
""",
    more=("`normaliser=\"relu\"`: the plain ratio of the positive scores, the nearest to it that is a "
          "distribution", "`sparsemax` and `entmax15` give exact zeros without a cut-off",
          "shift f32 scores by 10⁴ that are no multiples of 1/16: the sum is rounded, not softmax"))


def gradient(z: np.ndarray, i: int, **options: object) -> np.ndarray:
    """∂p_i/∂z by attention_backward(): z are the keys of the query 1."""
    q, k, v = np.ones((1, 1, 1)), z[:, None, None].copy(), np.eye(len(z))[:, None]
    dout = np.zeros((1, 1, len(z)))
    dout[0, 0, i] = 1
    out = regard.attention(q, k, v, scale=1.0, **options)
    return regard.attention_backward(q, k, v, out, dout, scale=1.0, **options).dk.ravel()


@LAB.runs
def run(lab: Context) -> None:
    rows = np.concatenate([lab.rng(seed).standard_normal((8, 32)) for seed in lab.seeds])
    plain = weights_of(rows)
    moved = max(np.abs(weights_of(rows, score=lambda s, c=c: s + c) - plain).max()
                for c in (-1e4, -1.0, 3.0, 1e4))
    lab.at_most("shift of all scores by up to 10⁴, f64: change of a weight", moved, 1e-7)

    exact = (np.round(rows * 16) / 16).astype(np.float32)  # z + 1024 is exact
    def f32(z: np.ndarray) -> np.ndarray:
        k = np.ascontiguousarray(z.T[:, :, None])
        q, v = np.ones((1, len(z), 1), np.float32), np.eye(z.shape[1], dtype=np.float32)[:, None]
        return regard.attention(q, k, np.repeat(v, len(z), 1), scale=1.0)[0]
    lab.equal("shift by 1024, f32, where z + c is exact: weights that change a bit",
              int((f32(exact) != f32(exact + np.float32(1024))).sum()), 0)
    single = rows.astype(np.float32)
    lab.report("shift by 10⁴, f32, where z + c is rounded: largest change",
               float(np.abs(f32(single) - f32(single + np.float32(1e4))).max()))

    factors = (0.25, 0.5, 1.0, 2.0, 4.0)
    order = [np.argsort(weights_of(rows, a), axis=1) for a in factors]
    lab.equal("rows whose order a factor changes", int(sum((o != order[0]).any(1).sum()
                                                           for o in order)), 0)
    falls = np.diff([entropy_of(rows, a) for a in factors], axis=0)
    lab.check("entropy falls as the factor grows, in every row", float(falls.max()), "< 0",
              falls.max() < 0)

    huge = np.array([[1e30, -1e30, 0.0, 1e30]])
    lab.equal("weights of the scores 1e30, −1e30, 0, 1e30", weights_of(huge)[0], [0.5, 0, 0, 0.5])
    absent = weights_of(np.zeros((1, 4)), mask=lambda i, j: j < 2)[0]
    lab.equal("weights where two of four keys are masked (−∞)", absent, [0.5, 0.5, 0, 0])
    lab.equal("weights where no key is left", weights_of(np.zeros((1, 2)), mask=lambda i, j: j < 0)[0],
              [0, 0])
    with np.errstate(over="ignore"):
        edge = [bool(np.isfinite(np.exp(np.float32(z)))) for z in (88.72, 88.73)]
    lab.equal("e^z of f32, without subtracting the largest, is finite at 88.72 and at 88.73", edge,
              [True, False])
    cut = f32(np.array([[0.0, -87.0, -88.0]], np.float32))[0]
    lab.check("weights in f32 at 87 and at 88 below the largest", [float(x) for x in cut[1:]],
              "> 0 and 0", cut[1] > 0 and cut[2] == 0)
    lab.at_most("sum of weights, f32: distance from 1", float(np.abs(f32(single).sum(1) - 1).max()),
                1e-6)

    z, step = rows[0, :12], 1e-5
    jacobian = np.stack([gradient(z, i) for i in range(12)])
    differences = np.stack([(weights_of((z + d)[None]) - weights_of((z - d)[None]))[0] / (2 * step)
                            for d in np.eye(12) * step], axis=1)
    lab.at_most("gradient against central differences, f64", np.abs(jacobian - differences).max(),
                1e-9)
    lab.at_most("rows of ∂p/∂z sum to", float(np.abs(jacobian.sum(1)).max()), 1e-12)
    sure = np.array([np.log(99.0), 0.0])
    lab.near("∂p/∂z of a weight of 0.99", float(gradient(sure, 0)[0]), 0.0099, within=1e-9)
    hard = np.abs(gradient(z, 0, normaliser="hardmax")).max()
    through = np.abs(gradient(z, 0, normaliser=regard.gumbel_softmax(1.0, 1, "straight_through")))
    lab.equal("gradient through a hard maximum", float(hard), 0.0)
    lab.check("largest gradient, soft", float(np.abs(jacobian[0]).max()), "> 0",
              np.abs(jacobian[0]).max() > 0)
    lab.check("largest gradient, hard forwards and soft backwards", float(through.max()), "> 0",
              through.max() > 0)

    scores = np.array([2.0, 1.0, -1.0, -1.5])
    ratio = scores / scores.sum()
    lab.check("plain ratio of the scores 2, 1, −1, −1.5", [float(f"{x:.3g}") for x in ratio],
              "no distribution", ratio.min() < 0)
    lab.check("plain ratio where scores sum to 0 (2, −1, −1)", "division by 0", "undefined",
              sum((2.0, -1.0, -1.0)) == 0)
    left, right = lab.figure(2)
    at = np.arange(4)
    left.bar(at - 0.2, weights_of(scores[None])[0], 0.4, label="softmax")
    left.bar(at + 0.2, ratio, 0.4, label="score / sum of scores", hatch="//")
    left.axhline(0, color="black", linewidth=0.8)
    left.set_xticks(at, [f"{s:g}" for s in scores])
    lab.label(left, "Weights of four scores", x="score", y="weight (share of 1)")
    gap = np.linspace(-6, 6, 49)
    two = np.stack([gap, np.zeros(49)], 1)
    right.plot(gap, weights_of(two)[:, 0], label="weight p", markevery=8)
    right.plot(gap, [gradient(pair, 0)[0] for pair in two], label="its gradient p(1 − p)",
               markevery=8)
    lab.label(right, "A score against one other", x="difference of the scores",
              y="weight; gradient (per unit of score)")
