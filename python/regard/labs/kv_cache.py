"""The cache of keys and values: what it saves and what it costs."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="kv-cache", items=("S2.44", "S3.6"), kind="arithmetic",
    title="What a cache of keys and values saves, and what it costs",
    question="A token that is generated asks the keys of all earlier ones. Keep them, or compute "
             "them again? And how many bytes does each token leave behind?",
    formula="FLOPs of one more token behind n, a layer:\n"
            "with a cache  24 d² + 4 (n + 1) d        without  24 (n + 1) d² + 2 (n + 1)(n + 2) d\n"
            "bytes of a token = 2 · L · h_kv · d_h · bytes of a number",
    says="A cache trades memory for computation; grouped and multi-query attention make it smaller.",
    code="""
import regard
for name, kv_heads in (("multi-head", 32), ("8 groups", 8), ("multi-query", 1)):
    cache = regard.KvCache(layers=32, pages=2, page_keys=16, kv_heads=kv_heads, dim=128)
    print(name, cache.bytes // 32, "bytes a token")                    # f16, 2 pages of 16 keys
""",
    more=("`k_dtype=\"i8\"`: a byte a number, and a scale for each key and head",
          "a window: the cache stops growing",
          "[ragged-decode](../ragged-decode/README.md): several requests of different lengths"))


def flops(n: int, layers: int, width: int, cached: bool) -> float:
    """Of one more token behind n: projections and MLP (12 d² multiply-adds), scores and sums."""
    tokens, pairs = (1, n + 1) if cached else (n + 1, (n + 1) * (n + 2) // 2)
    return layers * (24.0 * tokens * width**2 + 4.0 * pairs * width)


@LAB.runs
def run(lab: Context) -> None:
    shapes = (("GPT-2 124M, f32", 12, 12, 64, "f32", 73_728),
              ("32 × 32 heads of 128, 16 bit", 32, 32, 128, "f16", 524_288),
              ("the same, 8 kv heads", 32, 8, 128, "bf16", 131_072),
              ("the same, 1 kv head", 32, 1, 128, "f16", 16_384))
    sizes = []
    for name, layers, kv_heads, dim, kind, expected in shapes:
        cache = regard.KvCache(layers=layers, pages=4, page_keys=16, kv_heads=kv_heads, dim=dim,
                               k_dtype=kind, v_dtype=kind)
        sizes.append(cache.bytes / 64)
        lab.equal(f"bytes a token, {name}", int(sizes[-1]), expected)
    lab.equal("GPT-2 at 1,024 tokens, MiB", int(sizes[0] * 1024 / 2**20), 72)

    # Decoding over a growing cache is the full causal pass, to the bit.
    tokens, heads, dim = 48, 4, 32
    differ = 0
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q, k, v = (rng.standard_normal((tokens, heads, dim), dtype=np.float32) for _ in range(3))
        full = regard.attention(q, k, v, mask="causal")
        for group in (1, 2, 4):
            few = slice(0, heads // group)
            wanted = regard.attention(q, np.ascontiguousarray(k[:, few]),
                                      np.ascontiguousarray(v[:, few]), mask="causal")
            repeated = regard.attention(q, np.repeat(k[:, few], group, 1),
                                        np.repeat(v[:, few], group, 1), mask="causal")
            differ += int((wanted != repeated).sum())
        cache = regard.KvCache(pages=3, page_keys=16, kv_heads=heads, dim=dim, k_dtype="f32",
                               v_dtype="f32")
        for token in range(tokens):
            segment = [regard.Segment(0, 1, 0, token + 1, block_table=(2, 0, 1))]
            cache.append(0, segment, k[token:token + 1], v[token:token + 1])
            plan = regard.AttentionPlan(segment, heads=heads, kv_heads=heads, dim=dim, mask="causal")
            differ += int((plan.run(q[token:token + 1], cache=cache) != full[token]).sum())
    lab.equal("numbers that differ: token by token against the full pass, grouped against repeated",
              differ, 0)

    layers, width = 12, 768
    lengths = np.unique(np.geomspace(1, 8192, 40).astype(int))
    cost = {cached: np.array([flops(int(n), layers, width, cached) for n in lengths])
            for cached in (True, False)}
    slope = {cached: float(np.polyfit(np.log(lengths[-8:]), np.log(cost[cached][-8:]), 1)[0])
             for cached in cost}
    lab.report("FLOPs without over with a cache, at 1,024 tokens",
               flops(1024, layers, width, False) / flops(1024, layers, width, True))
    lab.check("growth of a token's cost in n: without above with a cache",
              [round(slope[False], 2), round(slope[True], 2)], "larger by more than 0.8",
              slope[False] - slope[True] > 0.8)
    cross = next(n for n in range(1, 10**6) if 4 * n * width > 24 * width**2)
    lab.report("tokens from which attention costs more than all matrices, width 768", cross)
    lab.equal("cheaper with a cache from token number", int(next(
        n for n in range(1, 100) if flops(n, layers, width, False) > flops(n, layers, width, True))), 1)
    lab.number("tokens", lengths)
    lab.number("FLOPs with a cache", cost[True])
    lab.number("FLOPs without", cost[False])

    left, right = lab.figure(2)
    left.plot(lengths, cost[False], label="computed again", markevery=5)
    left.plot(lengths, cost[True], label="from the cache", markevery=5)
    left.set_xscale("log")
    left.set_yscale("log")
    lab.label(left, "One more token, 12 layers of 768", x="tokens before it", y="FLOPs")
    right.barh(range(4), np.array(sizes) / 1024)
    right.set_yticks(range(4), ["GPT-2 124M\nf32", "32 kv heads\n16 bit", "8 kv heads\n16 bit",
                                "1 kv head\n16 bit"])
    right.invert_yaxis()
    lab.label(right, "What a token leaves behind", x="KiB a token", y="model")
