"""float64, float32, float16 and bfloat16, each array on its own but float64."""

import numpy as np
import pytest
import regard
from formula import dense, normal

ml_dtypes = pytest.importorskip("ml_dtypes")

SHAPES = (2, 4, 33, 32), (2, 2, 150, 32), (2, 2, 150, 24)


def numbers(dtype):
    return [normal(n, *shape).astype(dtype) for n, shape in enumerate(SHAPES)]


def type_of(name):
    return ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_results_are_rounded_once(name):
    q, k, v = numbers(type_of(name))
    exact = dense(q.astype(float), k.astype(float), v.astype(float), lambda b, h, i, j: j <= i)
    out, lse = regard.attention(q, k, v, layout="bhtd", mask="causal", lse=True)
    assert out.dtype == q.dtype and lse.dtype == np.float32
    np.testing.assert_allclose(lse, exact.lse, rtol=1e-5)
    ours = np.sqrt(((out.astype(float) - exact.out) ** 2).mean())
    best = np.sqrt(((exact.out.astype(type_of(name)).astype(float) - exact.out) ** 2).mean())
    assert 0 < best and ours <= 1.05 * best
    wide = np.empty(out.shape, np.float32)
    regard.attention(q, k, v, layout="bhtd", mask="causal", out=wide)
    np.testing.assert_allclose(wide, exact.out, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(wide.astype(type_of(name)), out)


def test_float64_is_exact():
    q, k, v = numbers(np.float64)
    out = regard.attention(q, k, v, layout="bhtd", mask="causal")
    assert out.dtype == np.float64
    np.testing.assert_allclose(
        out, dense(q, k, v, lambda b, h, i, j: j <= i).out, rtol=1e-12, atol=1e-14
    )


def test_each_array_has_its_own_type():
    q, k, v = numbers(np.float32)
    k, v = k.astype(np.float16), v.astype(ml_dtypes.bfloat16)
    out = regard.attention(q, k, v, layout="bhtd")
    assert out.dtype == np.float32
    np.testing.assert_array_equal(
        out, regard.attention(q, k.astype(np.float32), v.astype(np.float32), layout="bhtd"))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_strides_of_half_precision(name):
    q, k, v = numbers(type_of(name))
    expected = regard.attention(q, k, v, layout="bhtd")
    views = [a[..., ::-1].copy()[..., ::-1] for a in (q, k, v)]
    wide = np.zeros((*expected.shape[:3], 48), expected.dtype)
    out = wide[..., ::2]
    assert regard.attention(*views, layout="bhtd", out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert not wide[..., 1::2].any()


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_gradients_are_rounded_once(name):
    q, k, v = numbers(type_of(name))
    out = np.empty((2, 4, 33, 24), np.float32)
    dout = normal(9, 2, 4, 33, 24).astype(type_of(name))
    regard.attention(q, k, v, layout="bhtd", out=out)
    found = regard.attention_backward(q, k, v, out, dout, layout="bhtd")
    wide = [a.astype(np.float64) for a in (q, k, v, dout)]
    exact = regard.attention_backward(
        *wide[:3], regard.attention(*wide[:3], layout="bhtd"), wide[3], layout="bhtd"
    )
    for gradient, wanted in zip(found[:3], exact):
        assert gradient.dtype == type_of(name)
        ours = np.sqrt(((gradient.astype(float) - wanted) ** 2).mean())
        best = np.sqrt(((wanted.astype(type_of(name)).astype(float) - wanted) ** 2).mean())
        assert ours <= 1.05 * best


def test_float64_stands_alone():
    q, k, v = numbers(np.float64)
    with pytest.raises(ValueError, match="either all arrays are f64 or none"):
        regard.attention(q, k.astype(np.float32), v, layout="bhtd")
    with pytest.raises(ValueError, match="either all arrays are f64 or none"):
        regard.attention(q, k, v, layout="bhtd", out=np.empty((2, 4, 33, 24), np.float32))
