"""One step of three requests whose caches differ in length."""

import numpy as np

import regard
from regard.labs._lab import Context, Lab

LAB = Lab(
    name="ragged-decode", items=("S2.37",), kind="arithmetic",
    title="Three requests, three lengths, one step",
    question="Requests with 120, 900 and 35 tokens behind them each need one more. Must the short "
             "ones be padded to the longest?",
    formula="keys read = Σ (cached + 1) = 121 + 901 + 36 = 1,058, not 3 · 901 = 2,703",
    says="Decoding takes one token of each request over caches of different lengths.",
    code="""
import numpy as np, regard
lengths = (121, 901, 36)                                               # with the new token
k = v = np.random.default_rng(0).standard_normal((sum(lengths), 4, 64), dtype=np.float32)
q = np.ones((3, 4, 64), np.float32)
batch = regard.attention(q, k, v, segments=([0, 1, 2, 3], np.cumsum([0, *lengths]).tolist()))
alone = regard.attention(q[2:], k[-36:], v[-36:])
print((batch[2] == alone[0]).all())                                    # to the bit
""",
    more=("other lengths, or a hundred requests", "pages of 32 or 64 keys: the same bits",
          "padding to the longest: what is read, and what is not needed, in the figure"))

CACHED = (120, 900, 35)


@LAB.runs
def run(lab: Context) -> None:
    heads, kv_heads, dim = 8, 4, 64
    lengths = [cached + 1 for cached in CACHED]
    worst, differ = 0.0, 0
    for seed in lab.seeds:
        rng = lab.rng(seed)
        q = rng.standard_normal((3, heads, dim), dtype=np.float32)
        k, v = (rng.standard_normal((sum(lengths), kv_heads, dim), dtype=np.float32)
                for _ in range(2))
        bounds = np.cumsum([0, *lengths])
        alone = np.concatenate([regard.attention(q[n:n + 1], k[a:b], v[a:b])
                                for n, (a, b) in enumerate(zip(bounds, bounds[1:]))])
        ragged = regard.attention(q, k, v, segments=([0, 1, 2, 3], bounds.tolist()))
        differ += int((ragged != alone).sum())
        for page in (16, 32, 64):
            pages = [-(-length // page) for length in lengths]
            free = list(rng.permutation(sum(pages)))  # pages lie anywhere
            tables = [[int(free.pop()) for _ in range(count)] for count in pages]
            cache = regard.KvCache(pages=sum(pages), page_keys=page, kv_heads=kv_heads, dim=dim,
                                   k_dtype="f32", v_dtype="f32")
            for table, a, b in zip(tables, bounds, bounds[1:]):
                cache.append(0, [regard.Segment(0, int(b - a), 0, int(b - a), block_table=table)],
                             k[a:b], v[a:b])
            segments = [regard.Segment(n, 1, 0, length, block_table=table)
                        for n, (length, table) in enumerate(zip(lengths, tables))]
            plan = regard.AttentionPlan(segments, heads=heads, kv_heads=kv_heads, dim=dim)
            differ += int((plan.run(q, cache=cache) != alone).sum())
        longest = max(lengths)
        padded_k, padded_v = (np.zeros((3, longest, kv_heads, dim), np.float32) for _ in range(2))
        for n, (a, b) in enumerate(zip(bounds, bounds[1:])):
            padded_k[n, :b - a], padded_v[n, :b - a] = k[a:b], v[a:b]
        real = np.arange(longest)[None] < np.array(lengths)[:, None]
        padded = regard.attention(q[:, None], padded_k, padded_v, layout="bthd",
                                  mask=real[:, None, None])[:, 0]
        worst = max(worst, float(np.linalg.norm(padded - alone) / np.linalg.norm(alone)))
    lab.equal("numbers that differ from each request alone: ragged, and in pages of 16, 32, 64",
              differ, 0)
    lab.at_most("padded and masked against alone, relative", worst, 1e-5)
    lab.equal("keys read: cached", sum(CACHED), 1_055)
    lab.equal("keys read: with the new ones", sum(lengths), 1_058)
    panels = sum(-(-length // 16) * 16 for length in lengths)
    lab.equal("keys read: in panels of 16", panels, 1_088)
    lab.report("keys read if padded to the longest", 3 * max(lengths))
    lab.report("share of these that is padding", 1 - sum(lengths) / (3 * max(lengths)))
    lab.number("cached", CACHED)

    axes = lab.figure(width=5.4)
    axes.barh(range(3), lengths, label="own keys")
    axes.barh(range(3), [max(lengths) - length for length in lengths], left=lengths,
              label="padding", hatch="//")
    axes.set_yticks(range(3), ["A", "B", "C"])
    axes.invert_yaxis()
    lab.label(axes, "Keys that one step reads", x="keys", y="request", legend="upper right")
