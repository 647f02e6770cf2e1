"""Variance of dot products, before and after the division by the root of d_k."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY

LAB = Lab(
    name="variance", items=("S0.20", "S1.18", "S2.21"), kind="arithmetic",
    title="Scores grow with d_k, and are divided by its root",
    question="A score is a sum of d_k products. How large does it get, and what does the division "
             "by √d_k do to it?",
    formula="E q_i = E k_i = 0, Var q_i = Var k_i = 1, independent:\n"
            "Var(q·k) = d_k        E|q·k| → √(2 d_k / π)        Var(q·k / √d_k) = 1",
    says="Dot products of vectors with entries of unit variance grow with d_k, so they are scaled.",
    holds="Their *variance* is d_k; their typical size is its root, √(2 d_k/π). And entries of a "
          "trained model are neither independent nor of unit variance: the division fixes what "
          "training starts from, not what it arrives at.",
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
q, k = rng.standard_normal((2, 1, 4000, 256), dtype=np.float32)       # [1, heads, dim]: pairs
_, extras = regard.attention(q, k, k, extras=["similarities"])       # q·k / √d_k
print(extras.similarities.var())                                      # about 1
""",
    more=("entries that are not independent: repeat each number twice, and the variance doubles",
          "other laws of entries in `entries()`: what counts is their variance",
          "`regard inspect` shows the scores of a trained model, layer by layer"))

DIMS = (4, 16, 64, 256)


def entries(rng: np.random.Generator, law: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and variance 1."""
    if law == "±1":
        return rng.integers(0, 2, shape).astype(np.float32) * 2 - 1
    return rng.standard_normal(shape, dtype=np.float32)


def products(q: np.ndarray, k: np.ndarray, scale: float | None) -> np.ndarray:
    """scale · q·k of each pair: a head a pair, one query and one key in each. q, k [pairs, dim]"""
    value = np.zeros((1, len(q), 1), np.float32)
    _, extras = regard.attention(q[None], k[None], value, scale=scale, extras=["similarities"])
    return extras.similarities.ravel().astype(np.float64)


@LAB.runs
def run(lab: Context) -> None:
    pairs = lab.size(20_000, quick=4_000)
    within = lab.size(0.03, quick=0.1)
    found: dict[str, list[list[float]]] = {"variance": [], "scaled": [], "size": []}
    laws = ("Gaussian", "±1")
    for law in laws:
        rows: dict[str, list[float]] = {name: [] for name in found}
        for dim in DIMS:
            lab.progress(f"{law} entries, d_k = {dim}")
            seeds = [lab.rng(seed, dim) for seed in lab.seeds]
            drawn = [(entries(rng, law, (pairs, dim)), entries(rng, law, (pairs, dim)))
                     for rng in seeds]
            raw = np.concatenate([products(q, k, 1.0) for q, k in drawn])
            scaled = np.concatenate([products(q, k, None) for q, k in drawn])
            rows["variance"].append(raw.var())
            rows["scaled"].append(scaled.var())
            rows["size"].append(np.abs(raw).mean())
            lab.near(f"Var(q·k) / d_k, {law}, d_k = {dim}", raw.var() / dim, 1.0, within=within)
            lab.near(f"Var(q·k / √d_k), {law}, d_k = {dim}", scaled.var(), 1.0, within=within)
            if dim >= 16:
                expected = np.sqrt(2 * dim / np.pi)
                lab.near(f"E|q·k| / √(2 d_k/π), {law}, d_k = {dim}", np.abs(raw).mean() / expected,
                         1.0, within=within)
        for name in found:
            found[name].append(rows[name])
    lab.number("d_k", DIMS)
    lab.number("laws", laws)
    for name, values in found.items():
        lab.number(name, values)
    lab.report("pairs for each number", pairs * len(lab.seeds))

    left, right = lab.figure(2)
    left.plot(DIMS, DIMS, color=GREY, linestyle="-", marker="", label="d_k")
    right.plot(DIMS, np.sqrt(2 * np.array(DIMS) / np.pi), color=GREY, linestyle="-", marker="",
               label="√(2 d_k / π)")
    for law, variance, scaled, size in zip(laws, found["variance"], found["scaled"], found["size"]):
        left.plot(DIMS, variance, label=f"q·k, {law}", linestyle="")
        left.plot(DIMS, scaled, label=f"q·k / √d_k, {law}")
        right.plot(DIMS, size, label=f"{law}", linestyle="")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
    lab.label(left, "Variance", x="d_k (numbers)", y="variance of a score")
    lab.label(right, "Typical size", x="d_k (numbers)", y="mean of |q·k|")
