"""What a score costs: a dot product, a distance, a small network for every pair."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._timing import milliseconds

LAB = Lab(
    name="scorer-cost", items=("S0.14", "S2.16", "S1.11"), kind="timing",
    title="What a score costs",
    question="Any function of a query and a key could be a score. Why is it nearly always the dot "
             "product?",
    formula="dot       2 d FLOP a pair, one matrix product\n"
            "distance  ‖q − k‖² = ‖q‖² + ‖k‖² − 2 q·k: the same product and two norms\n"
            "additive  Σ v tanh(q + k): d additions, d tanh and 2 d more a pair, no matrix product",
    says="A network for each pair costs n² evaluations; the dot product is chosen because it is a "
         "matrix product, and it generalises the additive score.",
    holds="Neither contains the other: the dot product is bilinear, the additive score is not. And a "
          "distance is a matrix product, too.",
    code="""
import time, numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 256, 1, 64), dtype=np.float32)
for similarity in ("dot", "negative_distance", regard.additive(np.ones(64, np.float32))):
    regard.attention(q, k, v, similarity=similarity)
    start = time.perf_counter()
    regard.attention(q, k, v, similarity=similarity)
    print((time.perf_counter() - start) * 1000, "ms")
""",
    more=("another d: the ratio is that of tanh to a multiplication, nearly whatever d is",
          "`REGARD_TARGET=scalar`: without vectors the dot product loses its advantage first"))


@LAB.runs
def run(lab: Context) -> None:
    dim, sizes = 64, (64, 256, 1024)
    means: dict[str, list[float]] = {}
    for n in sizes:
        lab.progress(f"n = {n}")
        q, k, v = (lab.rng(lab.seed, n).standard_normal((n, 1, dim), dtype=np.float32)
                   for _ in range(3))
        added = regard.additive(np.ones(dim, np.float32))
        found = milliseconds({
            "dot": lambda q=q, k=k, v=v: regard.attention(q, k, v),
            "distance": lambda q=q, k=k, v=v: regard.attention(q, k, v,
                                                               similarity="negative_distance"),
            "additive": lambda q=q, k=k, v=v: regard.attention(q, k, v, similarity=added),
        }, seconds=lab.size(1.5, quick=0.3))
        for name, times in found.items():
            means.setdefault(name, []).append(float(np.mean(times)))
        ratio = means["additive"][-1] / means["dot"][-1]
        lab.report(f"additive over dot, n = {n}: milliseconds", ratio)
        lab.report(f"MFLOP of the scores, n = {n}: dot, additive (tanh as one)",
                   f"{2 * n * n * dim / 1e6:.3g}, {4 * n * n * dim / 1e6:.3g}")
        if n >= 256:
            lab.effect(f"additive slower than dot, n = {n}, milliseconds", found["additive"],
                       found["dot"])
        lab.report(f"distance over dot, n = {n}", means["distance"][-1] / means["dot"][-1])
    lab.number("n", sizes)
    lab.number("milliseconds", means)

    axes = lab.figure(width=5)
    for name, line in means.items():
        axes.plot(sizes, line, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    lab.label(axes, "One head, d = 64", x="queries and keys n", y="time of a call (ms)")
