"""The Deep Sets form of attention: sums over keys that may be taken in any parts and any order."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="deep-sets", items=("S0.7",), kind="arithmetic",
    title="One sum over keys, in any parts and any order",
    question="A function of a set can be written as ρ(Σ φ(x)). Which φ and ρ are attention's, and "
             "what does that allow?",
    formula="φ(j) = (e^(s_j) v_j, e^(s_j))        ρ(a, b) = a / b\n"
            "parts merge by (m, l, o): largest score, Σ e^(s − m), Σ e^(s − m) v",
    says="Attention has the Deep Sets form Σ φ(x_j, u_ij) with the identity as ρ.",
    holds="ρ is the identity only once the weights are given: softmax makes a weight depend on the "
          "whole set. The exact form sums numerator and denominator, and ρ divides. That one "
          "identity is online softmax, flash decoding and the merging of split caches.",
    code="""
import numpy as np, regard
q, k, v = np.random.default_rng(0).standard_normal((3, 64, 2, 32), dtype=np.float32)
whole = regard.attention(q, k, v)
a = regard.attention(q, k[:20], v[:20], lse=True)                      # (out, log of the sum)
b = regard.attention(q, k[20:], v[20:], lse=True)
print(abs(regard.merge(*b, *a)[0] - whole).max())                      # order does not matter
""",
    more=("parts of one key each: still the same",
          "`normaliser=\"sparsemax\"` has no such sum: its threshold needs all scores",
          "an empty part: lse is −∞, and nothing changes"))


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    """‖found − wanted‖ / ‖wanted‖"""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@LAB.runs
def run(lab: Context) -> None:
    keys = 240
    counts = (2, 3, 5, 8, 16, 40, 240)
    worst: list[float] = []
    means: list[float] = []
    for parts in counts:
        errors, of_means, chained = [], [], 0.0
        for seed in lab.seeds:
            for trial in range(lab.size(10, quick=2)):
                rng = lab.rng(seed, parts, trial)
                q, k, v = (rng.standard_normal((n, 3, 32), dtype=np.float32)
                           for n in (12, keys, keys))
                whole = regard.attention(q, k, v)
                cuts = np.sort(rng.choice(np.arange(1, keys), parts - 1, replace=False))
                pieces = np.split(rng.permutation(keys), cuts)
                found = [regard.attention(q, np.ascontiguousarray(k[piece]),
                                          np.ascontiguousarray(v[piece]), lse=True)
                         for piece in pieces]
                of_means.append(distance(np.mean([out for out, _ in found], axis=0), whole))
                chain = found[0]
                for other in found[1:]:
                    chain = regard.merge(*chain, *other)
                chained = max(chained, distance(chain[0], whole))
                while len(found) > 1:
                    found = [*found[2:], regard.merge(*found[0], *found[1])]
                errors.append(distance(found[0][0], whole))
        worst.append(max(errors))
        means.append(float(np.mean(of_means)))
        lab.at_most(f"{parts} random parts merged in pairs, relative error", worst[-1], 1e-6)
        if parts == keys:
            lab.report(f"{parts} single keys merged one after another: as many roundings in f32",
                       chained)
    rng = lab.rng(lab.seed, 1, 0)
    q, k, v = (rng.standard_normal((n, 8)) for n in (5, 30, 30))
    e = np.exp(q @ k.T / np.sqrt(8))
    rho = (e @ v) / e.sum(1, keepdims=True)  # Σ_j φ(j), then ρ
    out = regard.attention(q[:, None], k[:, None], v[:, None])[:, 0]
    lab.at_most("ρ(Σ φ) written out against attention, f64", float(np.abs(rho - out).max()), 1e-12)
    lab.at_least("the same parts, averaged instead: relative error", min(means), 1e-2)
    lab.number("parts", counts)
    lab.number("error of merging", worst)
    lab.number("error of averaging", means)

    axes = lab.figure(width=5)
    axes.plot(counts, np.maximum(worst, 1e-9), label="merged by (m, l, o)")
    axes.plot(counts, means, label="outputs of the parts averaged")
    axes.set_xscale("log")
    axes.set_yscale("log")
    lab.label(axes, "240 keys in random parts", x="parts", y="relative error of the output")
