"""Order: what attention does not see, and what lets it see."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="permute", items=("S0.6", "S0.23", "S4.20"), kind="arithmetic",
    title="Attention does not see order, unless something tells it",
    question="If the tokens of a sentence change places, do their outputs just change places with "
             "them? And what breaks that?",
    formula="f(ΠX) = Π f(X)        out(q, ΠK, ΠV) = out(q, K, V)",
    says="Attention is indifferent to order: \"dog bit man\" and \"man bit dog\" are the same to it; "
         "positions have to be put in.",
    holds="Only without positions *and without a causal mask*. A causal mask alone leaks order: the "
          "first token sees one key, the last sees all.",
    code="""
import numpy as np, regard
words = {w: np.random.default_rng(i).standard_normal((1, 16), dtype=np.float32)
         for i, w in enumerate(["dog", "bit", "man"])}
for sentence in ("dog bit man", "man bit dog"):
    x = np.stack([words[w] for w in sentence.split()])                 # [tokens, heads, dim]
    _, extras = regard.attention(x, x, x, extras=["weights"])
    at = sentence.split().index
    print(sentence, extras.weights[at("dog"), 0, at("bit")])           # equal
""",
    more=("`mask=\"causal\"` in the code above: the two numbers part",
          "`score=program.t5_bias(...)` or ALiBi: relative positions part them too",
          "longer sentences: equivariance does not wear off"))


def project(rng: np.random.Generator, dim: int) -> list[np.ndarray]:
    return [rng.standard_normal((dim, dim)) / np.sqrt(dim) for _ in range(4)]


def layer(x: np.ndarray, w: list[np.ndarray], *, rotate: bool = False, heads: int = 4,
          **options: object) -> np.ndarray:
    """x + attention(x) W_O, all in f32. x [tokens, width]"""
    tokens, width = x.shape
    q, k, v = (np.ascontiguousarray((x @ m).reshape(tokens, heads, width // heads), np.float32)
               for m in w[:3])
    if rotate:
        table = regard.RopeTable(width // heads)
        for one in (q, k):
            regard.rope(one, table, range(tokens))
    return x + regard.attention(q, k, v, **options).reshape(tokens, width) @ w[3]


@LAB.runs
def run(lab: Context) -> None:
    keys, dim = 96, 32
    worst = 0.0
    shuffles = lab.size(100, quick=20)
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q, k, v = (rng.standard_normal((n, 4, dim), dtype=np.float32) for n in (16, keys, keys))
        out = regard.attention(q, k, v)
        for _ in range(shuffles):
            order = rng.permutation(keys)
            again = regard.attention(q, np.ascontiguousarray(k[order]),
                                     np.ascontiguousarray(v[order]))
            worst = max(worst, float(np.abs(again - out).max() / np.abs(out).max()))
    lab.at_most(f"keys and values shuffled together, {3 * shuffles} times: relative change", worst,
                1e-6)

    tokens, width = 24, 64
    ways = {"no positions": {}, "learned positions": {}, "RoPE": {"rotate": True},
            "causal mask alone": {"mask": "causal"}}
    found: dict[str, list[float]] = {name: [] for name in ways}
    edges: dict[str, list[float]] = {name: [] for name in ways}
    for seed in lab.seeds:
        rng = lab.rng(seed, 1)
        x, w = rng.standard_normal((tokens, width)), project(rng, width)
        learned = rng.standard_normal((tokens, width))
        order = rng.permutation(tokens)
        dog, bit, man = x[:3]
        for name, options in ways.items():
            add = learned if name == "learned positions" else np.zeros_like(learned)
            y = layer(x + add, w, **options)
            moved = layer(x[order] + add, w, **options)
            found[name].append(float(np.linalg.norm(moved - y[order]) / np.linalg.norm(y)))
            sentences = (np.stack([dog, bit, man]), np.stack([man, bit, dog]))
            one, two = (weight(s + add[:3], w, row, **options) for s, row in zip(sentences, (0, 2)))
            edges[name].append(abs(one - two))
    lab.at_most("f(ΠX) against Π f(X), no positions, relative", max(found["no positions"]), 1e-5)
    lab.at_most("weight from dog to bit in the two sentences, difference, no positions",
                max(edges["no positions"]), 1e-6)
    for name in list(ways)[1:]:
        lab.at_least(f"f(ΠX) against Π f(X), {name}: differs by", min(found[name]), 1e-2)
        lab.effect(f"{name} above no positions", found[name], found["no positions"])
        lab.report(f"weight from dog to bit, {name}: mean difference", float(np.mean(edges[name])))
    lab.number("relative difference", found)
    lab.number("difference of the weight", edges)

    axes = lab.figure(width=5.4)
    for shift, (seed, hatch) in enumerate(zip(lab.seeds, ("", "//", "xx"))):
        axes.barh(np.arange(4) + (shift - 1) * 0.25, [max(found[name][shift], 1e-9) for name in ways],
                  0.24, label=f"seed {seed}", hatch=hatch)
    axes.set_yticks(np.arange(4), list(ways))
    axes.set_xscale("log")
    axes.invert_yaxis()
    lab.label(axes, "Tokens change places", x="‖f(ΠX) − Πf(X)‖ / ‖f(X)‖", y="what knows of order",
              legend="upper right")


def weight(x: np.ndarray, w: list[np.ndarray], row: int, *, rotate: bool = False,
           **options: object) -> float:
    """The weight from this row to token 1, one head."""
    q, k = (np.ascontiguousarray((x @ m)[:, None], np.float32) for m in w[:2])
    if rotate:
        table = regard.RopeTable(x.shape[1])
        for one in (q, k):
            regard.rope(one, table, range(len(x)))
    _, extras = regard.attention(q, k, k, extras=["weights"], **options)
    return float(extras.weights[row, 0, 1])
