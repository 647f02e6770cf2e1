"""Twice the tokens: four times the pairs, twice the memory."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY
from regard.labs._timing import exponent, milliseconds

LAB = Lab(
    name="scaling-n", items=("S2.42", "S3.7", "S4.11", "S4.13"), kind="timing",
    title="Twice the tokens, four times the work",
    question="All pairs are computed at once. Does that make a thousand tokens as fast as sixty?",
    formula="pairs n²: 512² = 262,144; 32,768² = 1,073,741,824\n"
            "work 4 n² d FLOP a head; memory of tiles and arrays ∝ n",
    says="Every pair of tokens is compared, all at the same time, so that 1,024 tokens take about as "
         "long as 64; cost and memory grow with n².",
    holds="*Depth* does not grow with n, *work* does: 16 times the tokens are 256 times the pairs, "
          "and a CPU runs out of lanes long before. Memory grows with n² only where scores are "
          "stored; tiles make it linear.",
    code="""
import time, numpy as np, regard
for n in (64, 256, 1024):
    q, k, v = np.random.default_rng(0).standard_normal((3, n, 4, 64), dtype=np.float32)
    regard.attention(q, k, v)
    start = time.perf_counter()
    regard.attention(q, k, v)
    print(n, (time.perf_counter() - start) * 1000, "ms")
""",
    more=("`mask=\"causal\"`: half the pairs, the same exponent",
          "a window, as in the lab `efficient`: exponent 1", "more heads: a factor, no exponent"))


@LAB.runs
def run(lab: Context) -> None:
    heads, dim = 4, 64
    sizes = [64, 256, 1024, 2048, 4096] + lab.size([8192], quick=[])
    times: dict[int, list[float]] = {}
    for n in sizes:
        lab.progress(f"n = {n}")
        q, k, v = (lab.rng(lab.seed, n).standard_normal((n, heads, dim), dtype=np.float32)
                   for _ in range(3))
        times[n] = milliseconds({"one": lambda q=q, k=k, v=v: regard.attention(q, k, v)},
                                seconds=lab.size(1.5, quick=0.3))["one"]
    large = [n for n in sizes if n >= 1024]
    slopes = [exponent(large, [times[n][part] for n in large]) for part in range(3)]
    lab.near("exponent of the time in n, n ≥ 1024", float(np.mean(slopes)), 2.0, within=0.1)
    lab.report("its spread over three rounds", float(np.std(slopes, ddof=1)))
    lab.report("time at 1,024 over time at 64 (16 times the tokens, 256 times the pairs)",
               float(np.mean(times[1024]) / np.mean(times[64])))
    memory = []
    for n in sizes:
        plan = regard.AttentionPlan([0, n], heads=heads, kv_heads=heads, dim=dim)
        memory.append(plan.workspace_bytes + 4 * n * heads * dim * 4)
    lab.near("exponent of all memory in n, n ≥ 1024",
             exponent(large, memory[sizes.index(1024):]), 1.0, within=0.1)

    x = lab.rng().standard_normal((512, 1, dim), dtype=np.float32)
    _, extras = regard.attention(x, x, x, extras=["weights"])
    lab.equal("pairs with a weight, n = 512", int((extras.weights > 0).sum()), 262_144)
    n = lab.size(32_768, quick=4096)
    few = np.zeros((n, 1, 1), np.float32)
    _, extras = regard.attention(few, few, few, normaliser=regard.sigmoid(40.0), extras=["key_sums"])
    lab.equal(f"pairs counted by weights of 1, n = {n:,}", int(extras.key_sums.astype(float).sum()),
              n * n)
    means = [float(np.mean(times[n])) for n in sizes]
    lab.number("n", sizes)
    lab.number("milliseconds", means)
    lab.number("bytes", memory)

    left, right = lab.figure(2)
    left.plot(sizes, means, label="measured")
    left.plot(sizes, means[-1] * (np.array(sizes) / sizes[-1]) ** 2, color=GREY, marker="",
              linestyle="-", label="∝ n²")
    right.plot(sizes, np.array(memory) / 2**20, label="arrays and workspace")
    right.plot(sizes, 4 * heads * np.array(sizes, float) ** 2 / 2**20, label="all scores, if stored")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
    lab.label(left, "Four heads of 64", x="tokens n", y="time of a call (ms)")
    lab.label(right, "Memory", x="tokens n", y="MiB")
