"""Entropy of attention over more and more keys."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab
from regard.labs._plot import GREY
from regard.labs._rows import entropy_of, weights_of

LAB = Lab(
    name="entropy", items=("S1.22",), kind="arithmetic",
    title="How far attention spreads over more keys",
    question="With more keys, does attention stay with a few or spread? Scores that are scaled "
             "answer differently from scores that are not.",
    formula="|z_j| ≤ B:   ln n − 2B/τ ≤ H ≤ ln n        p_max ≤ e^(2B/τ) / n\n"
            "z ~ N(0, 1):   H → ln n − ½",
    says="With bounded scores the entropy grows at most with the logarithm of the length, so "
         "attention cannot concentrate too sharply.",
    holds="H ≤ ln n holds always, bounded or not. What bounded scores give is the *lower* bound: "
          "attention has to spread as keys are added. Unscaled scores are not bounded, and stay "
          "near one key however many there are.",
    code="""
import numpy as np, regard
rng = np.random.default_rng(0)
q, k = (rng.standard_normal((n, 1, 64), dtype=np.float32) for n in (256, 1024))
for scale in (None, 1.0):                                              # 1/√64, and none
    _, extras = regard.attention(q, k, k, scale=scale, extras=["entropy"])
    print(extras.entropy.mean(), np.log(1024))                         # about 6.4, then about 1
""",
    more=("`d_k` other than 64: scaled rows do not move, unscaled ones do",
          "`regard inspect --heads`: entropies of a trained model's heads",
          "a scale that grows with ln n, as some long-context models use, holds H down"))

KEYS = (16, 64, 256, 1024, 4096)


@LAB.runs
def run(lab: Context) -> None:
    dim, rows = 64, lab.size(512, quick=128)
    mean: dict[str, list[float]] = {"scaled": [], "unscaled": []}
    for keys in KEYS:
        lab.progress(f"{keys} keys")
        for name, scale in (("scaled", None), ("unscaled", 1.0)):
            found = []
            for seed in lab.seeds:
                rng = lab.rng(seed, keys)
                # A head draws its own keys: one draw of few keys would be the whole sample.
                heads = max(1, 512 // keys)
                q = rng.standard_normal((rows // heads + 1, heads, dim), dtype=np.float32)
                k = rng.standard_normal((keys, heads, dim), dtype=np.float32)
                _, extras = regard.attention(q, k, k, scale=scale, extras=["entropy"])
                found.append(float(extras.entropy.mean()))
            mean[name].append(float(np.mean(found)))
        limit = np.log(keys) - 0.5
        if keys >= 64:
            lab.near(f"H − (ln n − ½), scaled, n = {keys}", mean["scaled"][-1] - limit, 0.0,
                     within=0.1 if keys == 64 else 0.05)
        else:
            lab.report(f"H, scaled, n = {keys} (ln n − ½ = {limit:.3g})", mean["scaled"][-1])
        lab.check(f"H, unscaled, n = {keys}", mean["unscaled"][-1], "0.3 to 1.5",
                  0.3 <= mean["unscaled"][-1] <= 1.5)

    draws, broken = 0, 0
    for keys in (2, 16, 64, 256):
        for seed in lab.seeds:
            rng = lab.rng(seed, keys, 1)
            bound = rng.uniform(0.01, 8, 840)
            z = rng.uniform(-1, 1, (840, keys)) * bound[:, None]
            entropy = entropy_of(z)
            top = np.concatenate([weights_of(part).max(axis=1) for part in np.array_split(z, 14)])
            slack = 2e-6 * np.log(keys)  # of entropies in f32
            broken += int(((entropy > np.log(keys) + slack)
                           | (entropy < np.log(keys) - 2 * bound - slack)
                           | (top > np.exp(2 * bound) / keys * (1 + 1e-12))).sum())
            draws += len(z)
    lab.equal(f"bounds broken in {draws} random rows", broken, 0)
    lab.number("keys", KEYS)
    lab.number("entropy", mean)

    axes = lab.figure(width=5)
    axes.plot(KEYS, np.log(KEYS), color=GREY, linestyle="-", marker="", label="ln n: all alike")
    axes.plot(KEYS, np.log(KEYS) - 0.5, color=GREY, linestyle=":", marker="", label="ln n − ½")
    axes.plot(KEYS, mean["scaled"], label="scaled by 1/√d_k")
    axes.plot(KEYS, mean["unscaled"], label="not scaled")
    axes.set_xscale("log", base=2)
    lab.label(axes, "Gaussian queries and keys, d_k = 64", x="keys n", y="entropy H (nats)")
