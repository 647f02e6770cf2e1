"""Ragged batches, and attention over parts of the keys put together."""

import re

import numpy as np
import pytest
import regard
from formula import assert_close, dense, normal
from regard import program

B, H, KV, T, K = 2, 4, 2, 9, 140
Q, KEY, VALUE = normal(1, B, H, T, 16), normal(2, B, KV, K, 16), normal(3, B, KV, K, 12)


ROWS, KEYS = [0, 4, 4, 9], [0, 30, 35, 180]


def ragged():
    q, k, v = normal(4, 10, 4, 16), normal(5, 180, 2, 16), normal(6, 180, 2, 12)
    parts = [(slice(*ROWS[n:n + 2]), slice(*KEYS[n:n + 2])) for n in range(3)]
    return q, k, v, parts


@pytest.mark.parametrize(
    "segments",
    [
        (ROWS, KEYS),
        (np.array(ROWS), np.array(KEYS)),
        [
            regard.Segment(ROWS[n], ROWS[n + 1] - ROWS[n], KEYS[n], KEYS[n + 1] - KEYS[n])
            for n in range(3)
        ],
    ],
)
def test_segments_are_sequences_of_their_own(segments):
    q, k, v, parts = ragged()
    mask = lambda b, h, i, j: (j <= i) & (j % (b + 2) != 1)  # noqa: E731
    out, lse = regard.attention(q, k, v, segments=segments, mask=mask, lse=True)
    for n, (rows, keys) in enumerate(parts):
        alone = lambda i, j, n=n: (j <= i) & (j % (n + 2) != 1)  # noqa: E731
        one, its = regard.attention(q[rows], k[keys], v[keys], mask=alone, lse=True)
        np.testing.assert_array_equal(out[rows], one)
        np.testing.assert_array_equal(lse[rows], its)
    assert not out[9:].any()  # in no segment


def test_rows_in_no_segment_are_left_as_they_are():
    q, k, v, _ = ragged()
    out = np.full((10, 4, 12), 7, np.float32)
    assert regard.attention(q, k, v, segments=(ROWS, KEYS), out=out) is out
    assert (out[9:] == 7).all() and (out[:9] != 7).all()


def test_one_array_of_bounds():
    q, k, v = normal(4, 12, 2, 8), normal(5, 12, 2, 8), normal(6, 12, 2, 8)
    out = regard.attention(q, k, v, segments=[0, 5, 12], mask="causal")
    np.testing.assert_array_equal(out[5:], regard.attention(q[5:], k[5:], v[5:], mask="causal"))


def test_positions_and_sequence_ids():
    q, k, v = normal(4, 3, 2, 8), normal(5, 20, 2, 8), normal(6, 20, 2, 8)
    out = regard.attention(
        q, k, v, segments=[regard.Segment(0, 3, 0, 20, position=4)], mask="causal"
    )
    np.testing.assert_array_equal(out, regard.attention(q, k, v, mask=lambda i, j: j <= i - 17 + 4))
    drop = regard.dropout(0.5, seed=1)
    alone = regard.attention(
        q, k, v, segments=[regard.Segment(0, 3, 0, 20, sequence=1)], weight=drop
    )
    twice = [np.concatenate([a, a]) for a in (q, k, v)]
    both = regard.attention(*twice, segments=([0, 3, 6], [0, 20, 40]), weight=drop)
    np.testing.assert_array_equal(alone, both[3:])
    assert (both[:3] != both[3:]).any()


def call(**options):
    return lambda: regard.attention(Q[0], KEY[0], VALUE[0], layout="htd", **options)


@pytest.mark.parametrize(
    "kind, words, call",
    [
        (
            ValueError,
            "segments lie in arrays without a batch axis",
            lambda: regard.attention(Q, KEY, VALUE, layout="bhtd", segments=[0, 9]),
        ),
        (ValueError, "which must ascend", call(segments=[0, 5, 3])),
        (
            ValueError,
            "segments have 3 bounds of rows and 2 of keys",
            call(segments=([0, 5, 9], [0, 140])),
        ),
        (ValueError, "has 10 rows from row 0, q has 9", call(segments=([0, 10], [0, 140]))),
        (ValueError, "has 150 keys from key 0, k has 140", call(segments=([0, 9], [0, 150]))),
        (TypeError, "segments is 'all', must be bounds", call(segments="all")),
        (TypeError, "segments is [0.5], must be bounds", call(segments=[0.5])),
    ],
    ids=range(7),
)
def test_each_mistake_has_its_message(kind, words, call):
    with pytest.raises(kind, match=re.escape(words)):
        call()


def test_merge():
    cut = 60
    whole, lse = regard.attention(Q, KEY, VALUE, layout="bhtd", lse=True)
    parts = [regard.attention(Q, KEY[:, :, at], VALUE[:, :, at], layout="bhtd", lse=True)
             for at in (slice(cut), slice(cut, None), slice(0))]
    out, sums = regard.merge(*parts[0], *parts[1], layout="bhtd")
    np.testing.assert_allclose(out, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sums, lse, rtol=1e-6)
    same, same_lse = regard.merge(*parts[2], *parts[0], layout="bhtd")  # nothing and a
    np.testing.assert_array_equal(same, parts[0][0])
    np.testing.assert_array_equal(same_lse, parts[0][1])
    with pytest.raises(ValueError, match="merge: lse_b"):
        regard.merge(*parts[0], parts[1][0], parts[1][1][:, :, :3], layout="bhtd")
    with pytest.raises(TypeError, match="merge: out_b is float64, must be float32"):
        regard.merge(*parts[0], parts[1][0].astype(float), parts[1][1], layout="bhtd")


def test_a_prefix_shared_by_programs():
    """Documents attend to a prefix and to themselves; split by keys it is the same attention."""
    whole = regard.attention(
        Q, KEY, VALUE, layout="bhtd", mask=program.prefix(40) | (program.key() % 2 == 0)
    )
    assert_close(whole, dense(Q, KEY, VALUE, lambda b, h, i, j: (j < 40) | (j % 2 == 0)).out)
