"""Bad input: one line that names the argument and the numbers, and the process lives."""

import re

import numpy as np
import pytest
import regard
from formula import normal, problem
from regard import program

Q, K, V = problem(4, 6, 4, 2, 8, 10)
EXPECTED = regard.attention(Q, K, V)
FLOAT = np.float32


def call(q=Q, k=K, v=V, **options):
    return lambda: regard.attention(q, k, v, **options)


bias_table = np.zeros(5, FLOAT)


def batch(array, size):
    return np.stack([array] * size)


CASES = [
    *(
        (TypeError, f"{name} is {kind}, must be float64, float32, float16 or bfloat16", made)
        for name, kind, made in (
            ("q", "int64", call(q=Q.astype(np.int64))),
            ("k", "int8", call(k=K.astype(np.int8))),
            ("v", "bool", call(v=V.astype(bool))),
            ("q", "complex128", call(q=Q.astype(complex))),
            ("out", "int64", call(out=np.empty((4, 4, 10), np.int64))),
        )
    ),
    (TypeError, "q (list) is no array", call(q=[[0.0]])),
    (TypeError, "k (NoneType) is no array", call(k=None)),
    (
        ValueError,
        "out is f64 and q f32; either all arrays are f64 or none",
        call(out=np.empty((4, 4, 10))),
    ),
    (ValueError, "k has dim 7, q has 8", call(k=K[..., :7])),
    (ValueError, "v has 5 keys of 2 heads, k has 6 of 2", call(v=V[:5])),
    (ValueError, "v has 6 keys of 1 heads, k has 6 of 2", call(v=V[:, :1])),
    (ValueError, "heads (3) is not a multiple of kv_heads (2)", call(q=Q[:, :3])),
    (ValueError, "heads (4) is not a multiple of kv_heads (0)", call(k=K[:, :0], v=V[:, :0])),
    (ValueError, "dim (8) and dim_v (1025) must be at most 1024", call(v=normal(1, 6, 2, 1025))),
    (ValueError, "q has 2 axes (4 x 8), layout 'thd' has 3", call(q=Q[:, 0])),
    (ValueError, "k has 4 axes (1 x 6 x 2 x 8), layout 'thd' has 3", call(k=K[None])),
    (ValueError, "q has 3 axes (4 x 4 x 8), layout 'bhtd' has 4", call(layout="bhtd")),
    (ValueError, "q has 0 axes (), layout 'thd' has 3", call(q=np.zeros((), FLOAT))),
    (
        ValueError,
        "k has batch 3, q has 2",
        call(batch(Q, 2), batch(K, 3), batch(V, 3), layout="bthd"),
    ),
    (
        ValueError,
        "v has batch 1, q has 2",
        call(batch(Q, 2), batch(K, 2), batch(V, 1), layout="bthd"),
    ),
    (
        ValueError,
        "heads (3) is not a multiple of kv_heads (2)",
        call(batch(Q[:, :3], 2), batch(K, 2), batch(V, 2), layout="bthd"),
    ),
    (
        ValueError,
        "heads (3) is not a multiple of kv_heads (2)",
        call(
            np.zeros((0, 4, 3, 8), FLOAT),
            np.zeros((0, 6, 2, 8), FLOAT),
            np.zeros((0, 6, 2, 10), FLOAT),
            layout="bthd",
        ),
    ),
    (
        ValueError,
        "layout is 'tdd', must hold t (tokens), h (heads) and d (dim)",
        call(layout="tdd"),
    ),
    (ValueError, "layout is 'bbthd', must hold", call(layout="bbthd")),
    (ValueError, "layout is 'THD', must hold", call(layout="THD")),
    (ValueError, "layout is '', must hold", call(layout="")),
    (TypeError, "layout is 3, must be letters", call(layout=3)),
    (ValueError, "mask is 'window', the only word for one is 'causal'", call(mask="window")),
    (
        TypeError,
        "mask is an array of int64, must be boolean, true where the key is allowed; write "
        "mask != 0",
        call(mask=np.ones((4, 6), int)),
    ),
    (
        TypeError,
        "mask is an array of float32, must be boolean, true where the key is allowed; real "
        "numbers that are added to the scores are `bias`",
        call(mask=np.ones((4, 6), FLOAT)),
    ),
    (TypeError, "mask is a bool, must be None, 'causal', a condition", call(mask=True)),
    (
        TypeError,
        "mask is i - j, which is integer, must be a condition",
        call(mask=program.query() - program.key()),
    ),
    (
        TypeError,
        "mask gives i - j, which is integer; a mask is a condition",
        call(mask=lambda i, j: i - j),
    ),
    (
        TypeError,
        "mask takes 3 arguments, must take (query, key), or (batch, head, query, key)",
        call(mask=lambda h, i, j: i > j),
    ),
    (
        ValueError,
        "mask is 5 x 6, must be 4 x 6, or 1 along an axis that is broadcast",
        call(mask=np.ones((5, 6), bool)),
    ),
    (ValueError, "mask is 2 x 4 x 6, must be 4 x 4 x 6, or 1", call(mask=np.ones((2, 4, 6), bool))),
    (ValueError, "mask has 5 axes, must have 1 to 4", call(mask=np.ones((1,) * 5, bool))),
    (ValueError, "mask has 0 axes, must have 1 to 4", call(mask=np.ones((), bool))),
    (
        TypeError,
        "score takes 2 arguments, must take (score), or (score, query, key), or",
        call(score=lambda s, i: s),
    ),
    (TypeError, "score is a ndarray, must be None, an expression", call(score=np.ones((4, 6)))),
    (TypeError, "score is a str, must be None, an expression", call(score="tanh")),
    (
        TypeError,
        "if, and, or, not and chained comparisons need a value now",
        call(score=lambda s: s if s > 0 else 0),
    ),
    (TypeError, "bias is int64, must be real", call(bias=np.ones((4, 6), int))),
    (TypeError, "bias is a float, must be an array", call(bias=1.0)),
    (ValueError, "bias is 4 x 5, must be 4 x 6", call(bias=np.ones((4, 5)))),
    (
        ValueError,
        "normaliser is 'sofmax', words for one are 'softmax', 'sigmoid'",
        call(normaliser="sofmax"),
    ),
    (
        TypeError,
        "normaliser is a int, must be a word such as 'softmax' or a regard.Normaliser",
        call(normaliser=1),
    ),
    (ValueError, "similarity is 'rbf', words for one are 'dot'", call(similarity="rbf")),
    (
        TypeError,
        "similarity is a function, must be a word such as 'dot' or a regard.Similarity",
        call(similarity=lambda q, k: 0),
    ),
    (TypeError, "weight is a float, must be None, an expression", call(weight=0.5)),
    (
        ValueError,
        "bias_table is too short: 5 elements along axis 0, and j reaches 5",
        call(score=lambda s, i, j: s + bias_table[j]),
    ),
    (ValueError, "scale (nan) is not a finite number", call(scale=float("nan"))),
    (ValueError, "scale (inf) is not a finite number", call(scale=np.inf)),
    (ValueError, "scale (inf) is not a finite number", call(scale=1e300)),
    (ValueError, "scale (nan) is not a finite number", call(q=Q[:0], scale=np.nan)),
    (TypeError, "scale is '0.5', must be a number", call(scale="0.5")),
    (TypeError, "scale is [1], must be a number", call(scale=[1])),
    (ValueError, "threads (-1) is not in 0 .. 1024", call(threads=-1)),
    (ValueError, "threads (1025) is not in 0 .. 1024", call(threads=1025)),
    (ValueError, f"threads ({2**70}) is not in 0 .. 1024", call(threads=2**70)),
    (TypeError, "threads is 1.5, must be an integer", call(threads=1.5)),
    (TypeError, "lse is 'yes', must be True or False", call(lse="yes")),
    (ValueError, "lse is asked for, but only softmax has one", call(normaliser="relu", lse=True)),
    (ValueError, "out is 4 x 4 x 9, must be 4 x 4 x 10", call(out=np.empty((4, 4, 9), FLOAT))),
    (ValueError, "out is 3 x 4 x 10, must be 4 x 4 x 10", call(out=np.empty((3, 4, 10), FLOAT))),
    (
        ValueError,
        "out is 3 x 4 x 4 x 10, must be 2 x 4 x 4 x 10",
        call(
            batch(Q, 2), batch(K, 2), batch(V, 2), layout="bthd", out=np.empty((3, 4, 4, 10), FLOAT)
        ),
    ),
    (ValueError, "out has 1 axes (160), layout 'thd' has 3", call(out=np.empty(160, FLOAT))),
    (TypeError, "out (list) is no array", call(out=[0.0])),
    (
        ValueError,
        "elements of out (4 x 4 x 10) share memory",
        call(out=np.lib.stride_tricks.as_strided(np.empty(40, FLOAT), (4, 4, 10), (0, 40, 4))),
    ),
    (
        ValueError,
        "elements of out (4 x 4 x 10) share memory",
        call(out=np.lib.stride_tricks.as_strided(np.empty(99, FLOAT), (4, 4, 10), (80, 20, 4))),
    ),
    (
        ValueError,
        "align is 'left', must be 'bottom_right' or 'top_left'",
        lambda: regard.causal("left"),
    ),
    (TypeError, "align is 1, must be", lambda: regard.causal(1)),
    (
        ValueError,
        "heads (3) is not a multiple of kv_heads (2)",
        lambda: regard.explain((4, 3, 8), (6, 2, 8), (6, 2, 8)),
    ),
    (
        ValueError,
        "q has 2 axes (4 x 3), layout 'thd' has 3",
        lambda: regard.explain((4, 3), (6, 2, 8), (6, 2, 8)),
    ),
    (
        ValueError,
        "k is (6, -2, 8); sizes are not negative",
        lambda: regard.explain((4, 2, 8), (6, -2, 8), (6, 2, 8)),
    ),
    (
        ValueError,
        "their product is below 2**63",
        lambda: regard.explain((4, 2, 8), (2**60, 2, 8), (6, 2, 8)),
    ),
    (
        TypeError,
        "q is (4.0, 2, 8), must be an array or sizes",
        lambda: regard.explain((4.0, 2, 8), (6, 2, 8), (6, 2, 8)),
    ),
    (
        MemoryError,
        "no memory for",
        lambda: regard.explain((65536, 1, 1024), *[(2**29, 1, 1024)] * 2, threads=1024),
    ),
]


@pytest.mark.parametrize("kind, words, call", CASES, ids=[case[1] for case in CASES])
def test_each_mistake_has_its_message(kind, words, call):
    with pytest.raises(kind, match=re.escape(words)) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(regard.attention(Q, K, V), EXPECTED)


def test_names_of_arguments_are_checked():
    for wrong in ({"masks": None}, {"dtype": "f4"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            regard.attention(Q, K, V, **wrong)
    with pytest.raises(TypeError):
        regard.attention(Q, K, V, "causal")


def test_out_must_be_writable():
    out = np.zeros((4, 4, 10), FLOAT)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="attention: out is read-only"):
        regard.attention(Q, K, V, out=out)
    with pytest.raises(ValueError, match="attention: out is read-only"):
        regard.attention(Q, K, V, out=memoryview(bytes(640)).cast("f", (4, 4, 10)))
    assert not out.any()


@pytest.mark.parametrize("name", "qkv")
def test_out_must_not_overlap_an_input(name):
    arrays = {n: normal(i, 6, 2, 8) for i, n in enumerate("qkv")}
    memory = normal(4, 2 * 96)
    kept = memory.copy()
    for shift in (0, 1, 95):
        inside = dict(arrays, **{name: memory[:96].reshape(6, 2, 8)})
        out = memory[shift:shift + 96].reshape(6, 2, 8)
        with pytest.raises(ValueError, match=f"attention: out overlaps {name}"):
            regard.attention(*inside.values(), out=out)
        with pytest.raises(ValueError, match=f"attention: out overlaps {name}"):
            regard.attention(*inside.values(), out=out[::-1])
    np.testing.assert_array_equal(memory, kept)
    regard.attention(*inside.values(), out=memory[96:].reshape(6, 2, 8))
    np.testing.assert_array_equal(memory[:96], kept[:96])
    assert (memory[96:] != kept[96:]).all()


def test_out_must_not_overlap_another_sequence_of_the_batch():
    memory = normal(1, 3, 4, 2, 8)
    kept = memory.copy()
    q = k = v = memory[:2]
    with pytest.raises(ValueError, match="attention: out overlaps q"):
        regard.attention(q, k, v, layout="bthd", out=memory[1:])
    np.testing.assert_array_equal(memory, kept)


def test_out_is_untouched_by_a_call_that_fails():
    out = np.full((4, 4, 10), 7, FLOAT)
    for wrong in ({"scale": np.nan}, {"threads": 5000}, {"mask": "none"}):
        with pytest.raises(ValueError):
            regard.attention(Q, K, V, out=out, **wrong)
    assert (out == 7).all()
