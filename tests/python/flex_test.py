"""flex_attention with NumPy: published functions, unchanged, against matrices in float64."""

import re

import numpy as np
import published
import pytest
import regard
from formula import assert_close, assert_lse_close, dense, normal

A = published.captured(np)
SHAPE = published.BATCH, published.HEADS, published.TOKENS, published.KEYS
Q, KEY, VALUE = (normal(n, *SHAPE[:3], 16) for n in (1, 2, 3))
POINTS = [at.reshape(-1) for at in np.indices(SHAPE)]


def everywhere(function, *before):
    """The function called once for each score, as numbers. [batch, heads, tokens, keys]"""
    flat = [x.reshape(-1) for x in before]
    return np.array([function(*point) for point in zip(*flat, *POINTS)]).reshape(SHAPE)


@pytest.mark.parametrize("name", published.score_mods(np, A))
def test_published_score_mods(name):
    score_mod = published.score_mods(np, A)[name]
    expected = dense(Q, KEY, VALUE, score=lambda s, b, h, i, j: everywhere(score_mod, s))
    out, lse = regard.flex_attention(Q, KEY, VALUE, score_mod, return_lse=True)
    if name == "rounding":  # a jump where float32 and float64 differ
        np.testing.assert_allclose(out, expected.out, atol=0.05)
        return
    assert_close(out, expected.out)
    assert_lse_close(lse, expected.lse)


@pytest.mark.parametrize("name", published.mask_mods(np, A))
def test_published_mask_mods(name):
    mask_mod = published.mask_mods(np, A)[name]
    expected = dense(Q, KEY, VALUE, lambda b, h, i, j: everywhere(mask_mod))
    for mask in ({"mask_mod": mask_mod}, {"block_mask": mask_mod}):
        assert_close(regard.flex_attention(Q, KEY, VALUE, **mask), expected.out)


def test_both_at_once():
    masks, scores = published.mask_mods(np, A), published.score_mods(np, A)
    out = regard.flex_attention(Q, KEY, VALUE, scores["alibi"], masks["prefix_lm"], 0.5,
                                mask_mod=masks["global_and_local"])
    expected = dense(
        Q,
        KEY,
        VALUE,
        scale=0.5,
        mask=lambda b, h, i, j: (
            everywhere(masks["prefix_lm"]) & everywhere(masks["global_and_local"])
        ),
        score=lambda s, b, h, i, j: everywhere(scores["alibi"], s),
    )
    assert_close(out, expected.out)


def test_q_idx_counts_rows_of_the_call():
    """As in PyTorch: with more keys than queries, q_idx begins at 0."""
    q = Q[:, :, :5]
    out = regard.flex_attention(q, KEY, VALUE, mask_mod=lambda b, h, q_idx, kv_idx: q_idx >= kv_idx)
    np.testing.assert_array_equal(
        out, regard.attention(q, KEY, VALUE, layout="bhtd", mask=regard.causal("top_left")))


def test_heads_and_batches_that_are_shared():
    k, v = KEY[:, ::2], VALUE[:, ::2]
    with pytest.raises(
        ValueError, match="key has 2 heads, query has 4; enable_gqa=True shares them"
    ):
        regard.flex_attention(Q, k, v)
    assert_close(regard.flex_attention(Q, k, v, enable_gqa=True), dense(Q, k, v).out)
    np.testing.assert_array_equal(regard.flex_attention(Q, KEY[:1], VALUE[:1])[0],
                                  regard.flex_attention(Q[:1], KEY[:1], VALUE[:1])[0])


def test_out():
    out = np.empty_like(Q)
    assert regard.flex_attention(Q, KEY, VALUE, out=out, threads=1) is out
    np.testing.assert_array_equal(out, regard.flex_attention(Q, KEY, VALUE))


SHORT = np.zeros(5, np.float32)
MISTAKES = [
    (
        TypeError,
        "use where(condition, yes, no)",
        {"score_mod": lambda s, b, h, i, j: s if s > 0 else 0},
    ),
    (
        TypeError,
        "flex_attention: score_mod returned None",
        {"score_mod": lambda s, b, h, i, j: None},
    ),
    (TypeError, "flex_attention: score_mod is a int, must be a function", {"score_mod": 3}),
    (
        TypeError,
        "flex_attention: block_mask is a str, must be a function",
        {"block_mask": "causal"},
    ),
    (
        TypeError,
        "flex_attention: mask_mod gives row - j, which is integer; a mask is a condition",
        {"mask_mod": lambda b, h, i, j: i - j},
    ),
    (TypeError, "takes 1 positional argument but 5 were given", {"score_mod": lambda s: s}),
    (
        ValueError,
        "SHORT is too short: 5 elements along axis 0, and j reaches 23",
        {"score_mod": lambda s, b, h, i, j: s + SHORT[j]},
    ),
    (TypeError, "flex_attention: scale is 'big', must be a number", {"scale": "big"}),
    (ValueError, "scale (nan) is not a finite number", {"scale": float("nan")}),
    (TypeError, "flex_attention: return_lse is 1, must be True or False", {"return_lse": 1}),
    (TypeError, "flex_attention: threads is None, must be an integer", {"threads": None}),
]


@pytest.mark.parametrize("kind, words, options", MISTAKES, ids=[words for _, words, _ in MISTAKES])
def test_each_mistake_has_its_message(kind, words, options):
    with pytest.raises(kind, match=re.escape(words)) as caught:
        regard.flex_attention(Q, KEY, VALUE, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: a[0], "query has 3 axes"),
        (lambda a: a.astype(int), "query is int64, must be float64"),
        (lambda a: None, "query .NoneType. is no array of numbers"),
    ],
)
def test_what_is_no_query(change, words):
    with pytest.raises((ValueError, TypeError), match=f"flex_attention: {words}"):
        regard.flex_attention(change(Q), KEY, VALUE)
