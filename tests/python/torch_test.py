"""torch CPU tensors in, torch tensors out. Skipped where torch is not installed."""

import numpy as np
import pytest
import regard
from formula import problem

torch = pytest.importorskip("torch")


def tensors(*sizes):
    return [torch.from_numpy(array) for array in problem(*sizes)]


def test_a_tensor_gives_a_tensor_of_the_same_bits():
    q, k, v = tensors(20, 70, 4, 2)
    out, lse = regard.attention(q, k, v, mask="causal", lse=True)
    assert isinstance(out, torch.Tensor) and isinstance(lse, torch.Tensor)
    expected = regard.attention(q.numpy(), k.numpy(), v.numpy(), mask="causal", lse=True)
    np.testing.assert_array_equal(out.numpy(), expected[0])
    np.testing.assert_array_equal(lse.numpy(), expected[1])
    assert type(regard.attention(q.numpy(), k, v)) is np.ndarray
    assert isinstance(regard.attention(q, k.numpy(), v.numpy()), torch.Tensor)
    assert regard.explain(q, k, v) == regard.explain(q.shape, k.shape, v.shape)


def test_agrees_with_torch():
    q, k, v = (torch.randn(2, heads, 30, 64) for heads in (6, 2, 2))
    out = regard.attention(q, k, v, mask="causal", layout="bhtd")
    k, v = (a.repeat_interleave(3, dim=1) for a in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.double(), k.double(), v.double(), is_causal=True)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


def test_strides_and_out():
    q, k, v = tensors(20, 70, 4, 2)
    expected = regard.attention(q, k, v)
    moved = [a.transpose(0, 2).contiguous().transpose(0, 2) for a in (q, k, v)]
    out = torch.full((20, 4, 32), torch.nan)[..., ::2]
    assert regard.attention(*moved, out=out) is out
    assert torch.equal(out, expected)
    once = k[:, :1].expand(-1, 4, -1)
    assert torch.equal(regard.attention(q, once, v[:, :1].expand(-1, 4, -1)),
                       regard.attention(q, k[:, :1], v[:, :1]))
    with pytest.raises(ValueError, match="elements of out .* share memory"):
        regard.attention(q, k, v, out=torch.zeros(20, 1, 16).expand(-1, 4, -1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    q, k, v = (a.to(dtype) for a in tensors(20, 70, 4, 2))
    out = regard.attention(q, k, v)
    assert out.dtype == dtype
    wide = regard.attention(q.float(), k.float(), v.float())
    assert torch.equal(out, wide.to(dtype))


def test_gradients_are_not_dropped_in_silence():
    q, k, v = tensors(20, 70, 4, 2)
    expected = regard.attention(q, k, v)
    k.requires_grad_()
    with pytest.raises(ValueError, match="attention: k requires a gradient.*k.detach"):
        regard.attention(q, k, v)
    with torch.no_grad():
        assert torch.equal(regard.attention(q, k, v), expected)
    assert torch.equal(regard.attention(q, k.detach(), v), expected)


@pytest.mark.parametrize("change, words", [
    (lambda a: a.long(), "q is int64, must be float64, float32"),
    (lambda a: a.to(torch.complex64), "q is complex64, must be float64, float32"),
    (lambda a: a.to("meta"), "q lies on meta, must lie on the CPU"),
    (lambda a: a.to_sparse(), "q has the layout torch.sparse_coo, must be dense"),
    (lambda a: torch.view_as_complex(torch.stack([a, a], -1)).conj().imag, "q is a negated view")])
def test_what_is_no_plain_tensor(change, words):
    q, k, v = tensors(20, 70, 4, 2)
    with pytest.raises(TypeError, match=f"attention: {words}"):
        regard.attention(change(q), k, v)
