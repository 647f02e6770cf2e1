"""attention_backward against central differences of the formula in float64."""

import re

import numpy as np
import pytest
import regard
from formula import normal
from regard import program

B, H, KV, T, K, D, DV = 2, 4, 2, 5, 9, 6, 3
Q, KEY, VALUE = (a.astype(np.float64) for a in (
    normal(1, B, H, T, D), normal(2, B, KV, K, D), normal(3, B, KV, K, DV)))
DOUT = normal(4, B, H, T, DV).astype(np.float64)


def difference(function, array, size=1e-5):
    """d sum(DOUT · function()) / d array, by changing one number at a time."""
    gradient = np.zeros_like(array, dtype=np.float64)
    for at in np.ndindex(array.shape):
        kept, ends = array[at], []
        for step in (size, -size):
            array[at] = kept + step
            ends.append((array[at], (DOUT * function()).sum()))
        array[at] = kept
        gradient[at] = (ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0])  # as rounded
    return gradient


OPTIONS = {
    "plain": {},
    "causal": {"mask": "causal"},
    "a mask with empty rows": {"mask": lambda i, j: (j < i) & (i % 2 == 0)},
    "softcap": {"score": lambda s: 2 * np.tanh(s / 2)},
    "a program of everything": {
        "score": lambda s, b, h, i, j: np.where(j % 2 == 0, s * s, np.exp(-s)) + 0.1 * (i - j) * h
    },
    "sigmoid": {"normaliser": "sigmoid"},
    "relu": {"normaliser": "relu"},
    "sparsemax": {"normaliser": "sparsemax"},
    "entmax": {"normaliser": "entmax15"},
    "cosine": {"similarity": "cosine"},
    "distance": {"similarity": "negative_distance"},
    "weights": {"weight": lambda p: p * p + p},
    "dropout": {"weight": regard.dropout(0.3, seed=2)},
    "scale": {"scale": -0.4},
    "sink": {"normaliser": regard.softmax_with_sink(0.5)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients(name):
    q, k, v = Q.copy(), KEY.copy(), VALUE.copy()
    options = dict(OPTIONS[name], layout="bhtd")

    def forward():
        return regard.attention(q, k, v, **options)

    found = regard.attention_backward(q, k, v, forward(), DOUT, **options)
    assert [g.dtype for g in found[:3]] == [np.float64] * 3 and found.arrays == ()
    for gradient, array in zip(found, (q, k, v)):
        np.testing.assert_allclose(gradient, difference(forward, array), rtol=1e-6, atol=1e-8)
    exact = [g.astype(np.float32) for g in found[:3]]
    single = [a.astype(np.float32) for a in (q, k, v, DOUT)]
    out = regard.attention(*single[:3], **options)
    for threads in (1, 3):
        rough = regard.attention_backward(*single[:3], out, single[3], **options, threads=threads)
        for gradient, wanted in zip(rough, exact):
            assert gradient.dtype == np.float32
            np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5)


def learned(name, *shape):
    numbers = normal(9, *shape)
    return numbers, regard.array(numbers, name, differentiable=True)



LEARNED = {
    "bias": (lambda: learned("bias", H, T, K), lambda a: {"bias": a}),
    "a bias of one row": (lambda: learned("bias", K), lambda a: {"bias": a}),
    "a bias of each batch": (lambda: learned("bias", B, 1, T, 1), lambda a: {"bias": a}),
    "slopes": (
        lambda: learned("slopes", H),
        lambda a: {"score": program.alibi(a), "mask": "causal"},
    ),
    "a table": (
        lambda: learned("table", 2 * K),
        lambda a: {"score": lambda s, i, j: s + a[i - j + K]},
    ),
    "a factor": (lambda: learned("factor", 1), lambda a: {"score": lambda s: s * a[0]}),
    "sinks": (lambda: learned("sinks", H), lambda a: {"normaliser": regard.softmax_with_sink(a)}),
    "bilinear": (lambda: learned("w", D, D), lambda a: {"similarity": regard.bilinear(a)}),
    "additive": (lambda: learned("v", D), lambda a: {"similarity": regard.additive(a)}),
    "in a weight program": (
        lambda: learned("gain", H),
        lambda a: {"weight": program.weight() * a[program.head()]},
    ),
}


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_of_arrays(name):
    make, use = LEARNED[name]
    numbers, array = make()
    options = dict(use(array), layout="bhtd")

    def forward():
        return regard.attention(Q, KEY, VALUE, **options)

    found = regard.attention_backward(Q, KEY, VALUE, forward(), DOUT, **options, arrays=[array])
    gradient, = found.arrays
    assert gradient.shape == numbers.shape and gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, difference(forward, numbers, 2**-10), rtol=1e-4, atol=1e-5)


def test_lse_is_computed_again_where_it_is_missing():
    out, lse = regard.attention(Q, KEY, VALUE, layout="bhtd", lse=True)
    with_it = regard.attention_backward(Q, KEY, VALUE, out, DOUT, lse=lse, layout="bhtd")
    without = regard.attention_backward(Q, KEY, VALUE, out, DOUT, layout="bhtd")
    for a, b in zip(with_it[:3], without[:3]):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_segments():
    rows, keys = [0, 4, 9], [0, 8, 20]
    q, k, v, dout = normal(1, 9, 4, 8), normal(2, 20, 2, 8), normal(3, 20, 2, 8), normal(4, 9, 4, 8)
    options = {"mask": "causal"}
    out = regard.attention(q, k, v, segments=(rows, keys), **options)

    found = regard.attention_backward(q, k, v, out, dout, segments=(rows, keys), **options)
    for n in range(2):
        r, c = slice(*rows[n:n + 2]), slice(*keys[n:n + 2])
        one = regard.attention_backward(q[r], k[c], v[c], out[r], dout[r], **options)
        for whole, part, at in zip(found[:3], one[:3], (r, c, c)):
            np.testing.assert_array_equal(whole[at], part)


PLAIN = regard.array(np.zeros(3, np.float32), "plain")


@pytest.mark.parametrize("kind, words, options", [
    (ValueError, "plain is not differentiable", {"arrays": [PLAIN]}),
    (TypeError, "arrays holds a ndarray, must hold regard.array", {"arrays": [np.zeros(3)]}),
    (TypeError, "mask is a int, must be None", {"mask": 3}),
    (ValueError, "dout is 2 x 4 x 5 x 2, must be 2 x 4 x 5 x 3", {"dout": DOUT[..., :2]}),
    (ValueError, "out is 2 x 4 x 5 x 2, must be 2 x 4 x 5 x 3", {"out": DOUT[..., :2]}),
    (TypeError, "dout is int64, must be float64, float32, float16 or bfloat16",
     {"dout": DOUT.astype(np.int64)}),
    (ValueError, "lse has 1 axes (3), layout 'bht' has 3", {"lse": np.zeros(3, np.float32)}),
    (ValueError, "scale (nan) is not a finite number", {"scale": float("nan")}),
    (TypeError, "mask is an array of int64, must be boolean", {"mask": np.ones((5, 5), np.int64)}),
    (TypeError, "if, and, or, not and chained comparisons need a value now",
     {"score": lambda s: s if s > 0 else 0})])
def test_each_mistake_has_its_message(kind, words, options):
    given = {"out": DOUT, "dout": DOUT, "layout": "bhtd", **options}
    with pytest.raises(kind, match=re.escape(words)):
        regard.attention_backward(Q, KEY, VALUE, given.pop("out"), given.pop("dout"), **given)
