"""Saturation: rows that one key fills, and what is left of their gradient."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._rows import jacobian_norm

LAB = Lab(
    name="saturation", items=("S2.22",), kind="arithmetic",
    title="Without the division, rows saturate",
    question="Scores that grow with d_k drive softmax to its corners. How many rows end there, and "
             "how much gradient is left?",
    formula="saturated: p_max > 0.99        ‖J‖ = ‖∂p/∂z‖,  J = diag(p) − p pᵀ\n"
            "1 − p_max is computed as Σ of the others; the difference itself cancels",
    says="Dividing by √d_k keeps the size of the scores in hand; without it softmax saturates and "
         "gradients vanish.",
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
q, k = rng.standard_normal((200, 1, 256)), rng.standard_normal((64, 1, 256))
for scale in (None, 1.0):
    p = regard.attention(q, k, np.eye(64)[:, None], scale=scale)       # the weights themselves
    print((p.max(-1) > 0.99).mean())
""",
    more=("more keys: a little less saturated at the same d_k",
          "`score=lambda s: 30 * np.tanh(s / 30)`: a soft cap bounds what scaling does not",
          "[variance](../variance/README.md): where the growth comes from"))

DIMS = (4, 16, 64, 256, 1024)
SHARES = (0.0, 0.02, 0.19, 0.45, 0.71)


@LAB.runs
def run(lab: Context) -> None:
    keys, rows = 64, lab.size(400, quick=150)
    shares: dict[str, list[float]] = {"scaled": [], "unscaled": []}
    norms: dict[str, list[float]] = {"scaled": [], "unscaled": []}
    for dim in DIMS:
        lab.progress(f"d_k = {dim}")
        for name, scale in (("scaled", None), ("unscaled", 1.0)):
            parts = []
            for seed in lab.seeds:
                for draw in range(6):  # other keys each time
                    rng = lab.rng(seed, dim, draw)
                    q = rng.standard_normal((rows // 6 + 1, 1, dim))
                    k = rng.standard_normal((keys, 1, dim))
                    parts.append(regard.attention(q, k, np.eye(keys)[:, None], scale=scale)[:, 0])
            p = np.concatenate(parts)
            shares[name].append(float((p.max(axis=1) > 0.99).mean()))
            norms[name].append(float(np.median(jacobian_norm(p))))
    within = lab.size(0.05, quick=0.08)
    for dim, share, expected in zip(DIMS, shares["unscaled"], SHARES):
        lab.near(f"share of saturated rows, unscaled, d_k = {dim}", share, expected, within=within)
    lab.near("largest share of saturated rows, scaled", max(shares["scaled"]), 0.0, within=0.05)
    lab.near("median ‖J‖, unscaled, d_k = 4", norms["unscaled"][0], 0.26, within=0.05)
    lab.at_most("median ‖J‖, unscaled, d_k = 1024", norms["unscaled"][-1], 5e-3)
    for dim, norm in zip(DIMS, norms["scaled"]):
        lab.near(f"median ‖J‖, scaled, d_k = {dim}", norm, 0.18, within=0.05)
    lab.report("median ‖J‖, unscaled, d_k = 1024", norms["unscaled"][-1])
    lab.number("d_k", DIMS)
    lab.number("share of saturated rows", shares)
    lab.number("median gradient norm", norms)

    left, right = lab.figure(2)
    for axes, values in ((left, shares), (right, norms)):
        for name, line in values.items():
            axes.plot(DIMS, line, label=name)
        axes.set_xscale("log", base=2)
    right.set_yscale("log")
    lab.label(left, "Rows that one key fills", x="d_k (numbers)", y="share with p_max > 0.99")
    lab.label(right, "What is left of the gradient", x="d_k (numbers)",
              y="median ‖∂p/∂z‖ (per unit of score)")
