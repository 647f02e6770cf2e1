"""Steps that wait for each other, and what a second thread is worth."""

import numpy as np

import regard
from regard import nn, ops
from regard.labs._lab import Context, Lab
from regard.labs._timing import milliseconds

LAB = Lab(
    name="depth", items=("S0.13", "S2.7"), kind="timing",
    title="How many steps have to wait for one another",
    question="A recurrent network cannot begin token t before t − 1 is done; attention can. What is "
             "that worth in steps, and what on two threads?",
    formula="recurrent: n dependent steps        attention: 2 products and reductions over n keys, "
            "⌈log₂ n⌉ deep as a tree\nwork: recurrent n (2 · 2 d²)        attention 4 n² d",
    says="Efficient means few sequential steps: O(n) for a recurrent network, O(1) for a matrix "
         "product.",
    holds="A sum over n keys is a reduction: O(log n) steps, not O(1). And few steps are not little "
          "work: attention's grows with n², so on two cores a long sequence is slower by it, "
          "however parallel.",
    code="""
import time, numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 2048, 4, 64), dtype=np.float32)
for threads in (1, 2):
    regard.attention(q, k, v, threads=threads)
    start = time.perf_counter()
    regard.attention(q, k, v, threads=threads)
    print(threads, "threads:", (time.perf_counter() - start) * 1000, "ms")
""",
    more=("a batch of many sequences: then the recurrent network, too, has something to share out",
          "a wider state: its one product grows until it is worth dividing"))


def recurrent(x: np.ndarray, w: nn.Tensor, u: nn.Tensor) -> nn.Tensor:
    """h_t = relu(x_t W + h_{t-1} U), a token after the other. x [tokens, width]"""
    h = nn.tensor(np.zeros((1, x.shape[1]), np.float32))
    for token in x:
        h = ops.activate("relu", ops.add(ops.linear(nn.tensor(token[None]), w), ops.linear(h, u)))
    return h


@LAB.runs
def run(lab: Context) -> None:
    width, heads = 256, 4
    sizes = lab.size((64, 256, 1024, 4096), quick=(64, 256, 1024))
    rng = lab.rng()
    w, u = (nn.tensor((rng.standard_normal((width, width)) / 16).astype(np.float32))
            for _ in range(2))
    means: dict[str, list[float]] = {}
    with nn.no_gradient():
        for n in sizes:
            lab.progress(f"n = {n}")
            x = rng.standard_normal((n, width), dtype=np.float32)
            q, k, v = (rng.standard_normal((n, heads, width // heads), dtype=np.float32)
                       for _ in range(3))
            found: dict[str, list[float]] = {}
            for threads in (1, 2):
                nn.set_threads(threads)
                found |= milliseconds({
                    f"recurrent, {threads}": lambda x=x: recurrent(x, w, u),
                    f"attention, {threads}": lambda q=q, k=k, v=v, threads=threads:
                        regard.attention(q, k, v, mask="causal", threads=threads),
                }, seconds=lab.size(0.6, quick=0.2))
            nn.set_threads(0)
            for name, times in found.items():
                means.setdefault(name, []).append(float(np.mean(times)))
            lab.report(f"dependent steps at n = {n}: recurrent, attention",
                       f"{n}, {int(np.ceil(np.log2(n))) + 3}")
            lab.report(f"microseconds a token at n = {n}, 2 threads: recurrent, attention",
                       f"{means['recurrent, 2'][-1] / n * 1000:.3g}, "
                       f"{means['attention, 2'][-1] / n * 1000:.3g}")
    gains = {kind: [one / two for one, two in zip(found[f"{kind}, 1"], found[f"{kind}, 2"])]
             for kind in ("recurrent", "attention")}
    lab.at_least(f"a second thread, attention, n = {sizes[-1]}: times as fast",
                 float(np.mean(gains["attention"])), 1.5)
    lab.effect("gain of attention above that of the recurrent network", gains["attention"],
               gains["recurrent"])
    lab.report("a second thread, recurrent: times as fast", float(np.mean(gains["recurrent"])))
    lab.number("n", sizes)
    lab.number("milliseconds", means)

    left, right = lab.figure(2)
    left.plot(sizes, sizes, label="recurrent")
    left.plot(sizes, np.ceil(np.log2(sizes)) + 3, label="attention, as trees")
    left.set_yscale("log")
    lab.label(left, "Steps that wait", x="tokens n", y="dependent steps")
    for name, line in means.items():
        right.plot(sizes, line, label=f"{name} thread" + ("s" if name.endswith("2") else ""))
    right.set_yscale("log")
    lab.label(right, "Time of a sequence", x="tokens n", y="milliseconds")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
