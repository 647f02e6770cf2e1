"""Pages of keys and values, rotations and plans."""

import numpy as np
import pytest
import regard
from formula import normal

KV, D, DV = 2, 16, 24
TABLES = [[3, 0, 5], [1, 4]]
LENGTHS = [40, 21]


def filled(k_dtype="f32", v_dtype="f32", **options):
    """A cache of two sequences, appended in two steps, and what was appended."""
    cache = regard.KvCache(
        pages=6, page_keys=16, kv_heads=KV, dim=D, dim_v=DV, k_dtype=k_dtype, v_dtype=v_dtype
    )
    k, v = normal(1, sum(LENGTHS), KV, D), normal(2, sum(LENGTHS), KV, DV)
    for seen in ([25, 10], LENGTHS):
        before = [0, 0] if seen != LENGTHS else [25, 10]
        rows = [np.r_[first + b:first + s] for first, b, s in zip((0, LENGTHS[0]), before, seen)]
        segments, at = [], 0
        for part, keys, pages in zip(rows, seen, TABLES):
            segments.append(regard.Segment(at, len(part), 0, keys, block_table=pages))
            at += len(part)
        cache.append(0, segments, k[np.concatenate(rows)], v[np.concatenate(rows)], **options)
    return cache, k, v


def test_what_is_read_is_what_was_appended():
    cache, k, v = filled()
    for first, length, pages in zip((0, LENGTHS[0]), LENGTHS, TABLES):
        keys, values = cache.read(0, pages, 0, length)
        np.testing.assert_array_equal(keys, k[first:first + length])
        np.testing.assert_array_equal(values, v[first:first + length])
    assert cache.bytes >= 6 * 16 * KV * (D + DV) * 4


@pytest.mark.parametrize("dtype, error", [("f16", 2**-11), ("bf16", 2**-8), ("i8", 1 / 200)])
def test_numbers_are_rounded_once(dtype, error):
    cache, k, _ = filled(dtype, dtype)
    keys, _ = cache.read(0, TABLES[0], 3, 10)
    scale = np.abs(k[3:13]).max(axis=-1, keepdims=True)
    assert 0 < (np.abs(keys - k[3:13]) / scale).max() <= error


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "i8"])
def test_a_plan_over_pages_is_attention_over_what_they_hold(dtype):
    cache, _, _ = filled(dtype, dtype)
    q = normal(3, 7, 4, D)
    segments = [regard.Segment(0, 3, 0, LENGTHS[0], block_table=TABLES[0]),
                regard.Segment(3, 4, 0, LENGTHS[1], block_table=TABLES[1])]
    plan = regard.AttentionPlan(segments, heads=4, kv_heads=KV, dim=D, dim_v=DV, mask="causal")
    out, lse = plan.run(q, cache=cache, lse=True)
    for rows, length, pages in (
        (slice(0, 3), LENGTHS[0], TABLES[0]),
        (slice(3, 7), LENGTHS[1], TABLES[1]),
    ):
        one, its = regard.attention(
            q[rows], *cache.read(0, pages, 0, length), mask="causal", lse=True
        )
        if dtype == "i8":  # its scales multiply finished scores
            np.testing.assert_allclose(out[rows], one, rtol=1e-4, atol=1e-6)
            continue
        np.testing.assert_array_equal(out[rows], one)
        np.testing.assert_array_equal(lse[rows], its)
    assert plan.workspace_bytes > 0 and "tiles" in plan.explain()
    plan.replan([regard.Segment(0, 1, 0, 30, block_table=TABLES[0])])
    np.testing.assert_allclose(
        plan.run(q[:1], cache=cache),
        regard.attention(q[:1], *cache.read(0, TABLES[0], 0, 30), mask="causal"),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_plan_over_arrays():
    q, k, v = normal(1, 9, 4, D), normal(2, 30, KV, D), normal(3, 30, KV, DV)
    bounds = ([0, 4, 9], [0, 10, 30])
    plan = regard.AttentionPlan(bounds, heads=4, kv_heads=KV, dim=D, dim_v=DV, scale=0.5, threads=2)
    np.testing.assert_array_equal(
        plan.run(q, k, v), regard.attention(q, k, v, segments=bounds, scale=0.5)
    )
    out = np.empty((9, 4, DV), np.float32)
    assert plan.run(q, k, v, out=out) is out
    with pytest.raises(TypeError, match="takes k and v, or a cache"):
        plan.run(q)
    with pytest.raises(ValueError, match="out overlaps q"):
        same = normal(1, 9, 4, DV)
        plan.run(same[..., :D], k, v, out=same)


def test_a_shared_prefix_changes_no_bit():
    shared, tables = list(range(40)), [[40, 41], [42], [43, 44, 45]]  # 640 keys, then their own
    cache = regard.KvCache(pages=46, page_keys=16, kv_heads=KV, dim=D)
    k, v = normal(1, 46 * 16, KV, D), normal(2, 46 * 16, KV, D)
    cache.append(0, [regard.Segment(0, 46 * 16, 0, 46 * 16, block_table=range(46))], k, v)
    segments = [regard.Segment(n, 1, 0, 640 + 16 * len(own) - 3, block_table=shared + own)
                for n, own in enumerate(tables)]
    q = normal(3, 3, 4, D)
    plan = regard.AttentionPlan(segments, heads=4, kv_heads=KV, dim=D, mask="causal")
    expected = plan.run(q, cache=cache)
    plan.replan(segments, shared_keys=640)
    np.testing.assert_array_equal(plan.run(q, cache=cache), expected)


def rotated(x, positions, base=10000.0, pairs=False):
    angles = positions[:, None, None] * base ** (-np.arange(0, D, 2) / D)
    first, second = (x[..., ::2], x[..., 1::2]) if pairs else (x[..., :D // 2], x[..., D // 2:])
    turned = (
        first * np.cos(angles) - second * np.sin(angles),
        first * np.sin(angles) + second * np.cos(angles),
    )
    return np.stack(turned, axis=-1).reshape(x.shape) if pairs else np.concatenate(turned, axis=-1)


@pytest.mark.parametrize("layout", ["halves", "pairs"])
def test_rope(layout):
    x, positions = normal(1, 5, 3, D), np.array([0, 1, 7, 100, 4000])
    expected = rotated(x.astype(np.float64), positions, pairs=layout == "pairs")
    table = regard.RopeTable(D)
    assert regard.rope(x, table, positions, layout) is x
    np.testing.assert_allclose(x, expected, atol=2e-6)
    with pytest.raises(ValueError, match="rope: layout is 'quarters'"):
        regard.rope(x, table, positions, "quarters")


def test_keys_are_rotated_on_their_way():
    table = regard.RopeTable(D)
    cache, k, _ = filled(table=table)
    keys, _ = cache.read(0, TABLES[0], 0, LENGTHS[0])
    alone = k[:LENGTHS[0]].copy()
    np.testing.assert_array_equal(keys, regard.rope(alone, table, range(LENGTHS[0])))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"k_dtype": "q4"}, "the dtype is 'q4', must be"),
        ({"page_keys": 20}, "page_keys|20"),
        ({"pages": -1}, "-1"),
    ],
)
def test_caches_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        regard.KvCache(**{"pages": 2, "kv_heads": 1, "dim": 8, **options})
