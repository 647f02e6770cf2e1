"""Fewer pairs, or none: windows, blocks, states."""

import numpy as np

import regard
from regard import program
from regard.labs._lab import Context, Lab
from regard.labs._timing import exponent, milliseconds

LAB = Lab(
    name="efficient", items=("S1.26", "S4.13"), kind="timing",
    title="Fewer pairs, or none at all",
    question="Must every query meet every key? A window, blocks, and a state that is all the keys' "
             "sum: what do they cost, and which of them are attention still?",
    formula="window w:  n · w pairs        blocks: their share of n²\n"
            "linear:    Σ_j φ(q)·φ(k_j) v_j / Σ_j φ(q)·φ(k_j) = φ(q) S / φ(q) z, S and z running sums",
    says="Sparse patterns and linear approximations are extensions that answer the growth with n².",
    code="""
import numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 300, 2, 32), dtype=np.float32)
wide = regard.attention(q, k, v, mask=lambda i, j: (j <= i) & (i - j < 300))
print((wide == regard.attention(q, k, v, mask="causal")).all())        # a window of all keys
linear = regard.linear_attention(q, k, v, features="elu", normalise=True)
print(linear.shape)
""",
    more=("`features=\"exp\"` and rules with decay: `help(regard.linear_attention)`",
          "a window and a few global keys: docs/operator.md has the masks",
          "smaller n: the state costs more than the few keys it replaces"))


def phi(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


@LAB.runs
def run(lab: Context) -> None:
    heads, dim = 4, 64
    differ, errors = 0, []
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q, k, v = (rng.standard_normal((200, heads, dim), dtype=np.float32) for _ in range(3))
        full = regard.attention(q, k, v, mask="causal")
        window = regard.attention(q, k, v, mask=lambda i, j: (j <= i) & (i - j < 200))
        every = regard.attention(q, k, v, mask=program.block_sparse(np.ones((7, 7), bool), 32, 32))
        differ += int((window != full).sum()) + int((every != regard.attention(q, k, v)).sum())
        found = regard.linear_attention(q, k, v, features="elu", normalise=True)
        s = np.einsum("ihd,jhd->hij", phi(q.astype(float)), phi(k.astype(float)))
        s *= np.tri(200)
        wanted = np.einsum("hij,jhd->ihd", s / s.sum(-1, keepdims=True), v)
        errors.append(float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)))
    lab.equal("window of n keys and all blocks against full attention: numbers that differ", differ, 0)
    lab.at_most("linear attention against its quadratic form, relative", max(errors), 1e-5)

    sizes = [1024, 2048, 4096] + lab.size([8192], quick=[])
    means: dict[str, list[float]] = {}
    for n in sizes:
        lab.progress(f"n = {n}")
        rng = lab.rng(lab.seed, n)
        q, k, v = (rng.standard_normal((n, heads, dim), dtype=np.float32) for _ in range(3))
        blocks = np.tril(rng.random((n // 128, n // 128)) < 0.2)
        np.fill_diagonal(blocks, True)
        sparse = program.block_sparse(blocks, 128, 128)
        found = milliseconds({
            "full, causal": lambda: regard.attention(q, k, v, mask="causal"),
            "window of 256": lambda: regard.attention(
                q, k, v, mask=lambda i, j: (j <= i) & (i - j < 256)),
            "a fifth of the blocks": lambda: regard.attention(q, k, v, mask=sparse),
            "linear": lambda: regard.linear_attention(q, k, v, features="elu", normalise=True),
        }, seconds=lab.size(0.8, quick=0.2))
        for name, times in found.items():
            means.setdefault(name, []).append(float(np.mean(times)))
        if n == sizes[-1]:
            for name in list(means)[1:]:
                lab.effect(f"{name} faster than full, n = {n}, milliseconds", found["full, causal"],
                           found[name])
                lab.report(f"full over {name}, n = {n}", means["full, causal"][-1] / means[name][-1])
    for name, line in means.items():
        lab.report(f"exponent in n, {name}", exponent(sizes, line))
    lab.number("n", sizes)
    lab.number("milliseconds", means)

    axes = lab.figure(width=5)
    for name, line in means.items():
        axes.plot(sizes, line, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    lab.label(axes, "Four heads of 64", x="tokens n", y="time of a call (ms)")
