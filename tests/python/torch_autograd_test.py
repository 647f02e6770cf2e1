"""regard.torch: gradients as autograd's own, published functions as PyTorch runs them."""

import inspect
import re

import numpy as np
import published
import pytest
import regard

torch = pytest.importorskip("torch")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

import regard.torch  # noqa: E402

A = published.captured(torch)
SHAPE = published.BATCH, published.HEADS, published.TOKENS, published.KEYS


def problem(dtype=torch.float32, heads=4, kv_heads=2, tokens=7, keys=13, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(2, h, n, 16, dtype=dtype, requires_grad=True)
            for h, n in ((heads, tokens), (kv_heads, keys), (kv_heads, keys))]


def plain(q, k, v, score=lambda s: s, allowed=None, sinks=None):
    """In float64, by autograd."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    s = score(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5)
    if allowed is not None:
        s = s.masked_fill(~allowed, -torch.inf)
    if sinks is not None:
        s = torch.cat([s, sinks.view(1, -1, 1, 1).expand(*s.shape[:-1], 1)], dim=-1)
    return torch.softmax(s, dim=-1)[..., :k.shape[2]] @ v


def doubles(*tensors):
    return [t.detach().double().requires_grad_() for t in tensors]


def compare(out, tensors, expected, exact, rtol=2e-5, atol=2e-5):
    torch.testing.assert_close(out.double(), expected, rtol=rtol, atol=atol)
    dout = torch.randn_like(out)
    out.backward(dout)
    expected.backward(dout.double())
    for ours, theirs in zip(tensors, exact):
        assert ours.grad.dtype == ours.dtype and ours.grad.shape == ours.shape
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=rtol, atol=atol)


def test_gradients():
    q, k, v = problem()
    causal = torch.ones(7, 13, dtype=torch.bool).tril(6)
    exact = doubles(q, k, v)
    compare(regard.torch.attention(q, k, v, mask="causal", layout="bhtd"), (q, k, v),
            plain(*exact, allowed=causal), exact)


def test_gradients_of_captured_tensors():
    q, k, v = problem()
    bias, factor, sinks = (
        torch.randn(shape, requires_grad=True) for shape in ((4, 7, 13), (), (4,))
    )
    tensors = (q, k, v, bias, factor, sinks)
    exact = doubles(*tensors)
    out = regard.torch.attention(q, k, v, layout="bhtd", bias=bias, score=lambda s: s * factor,
                                 normaliser=regard.softmax_with_sink(sinks))
    compare(
        out,
        tensors,
        plain(*exact[:3], score=lambda s: s * exact[4] + exact[3], sinks=exact[5]),
        exact,
    )


def test_gradients_of_arrays_of_expressions():
    q, k, v = problem()
    slopes = torch.randn(4, requires_grad=True)
    array = regard.array(slopes, "slopes")
    out = regard.torch.attention(
        q, k, v, layout="bhtd", score=regard.program.alibi(array), arrays=[array]
    )
    exact = doubles(q, k, v, slopes)
    distance = torch.arange(13) - (torch.arange(7) + 6)[:, None]
    compare(out, (q, k, v, slopes),
            plain(*exact[:3], score=lambda s: s + exact[3].view(-1, 1, 1) * distance), exact)


def test_gradcheck():
    q, k, v = problem(torch.float64, tokens=3, keys=4)
    for options in (
        {"mask": "causal"},
        {"score": lambda s: 2 * torch.tanh(s / 2)},
        {"normaliser": "sigmoid"},
        {"similarity": "cosine"},
        {"normaliser": "entmax15"},
        {"dropout": 0.3, "seed": 1},
    ):
        assert torch.autograd.gradcheck(
            lambda *x, options=options: regard.torch.attention(*x, layout="bhtd", **options),
            (q, k, v),
        )


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.02), (torch.float16, 2e-3)])
def test_half_precision(dtype, tolerance):
    q, k, v = problem(dtype)
    exact = doubles(q, k, v)
    compare(
        regard.torch.attention(q, k, v, layout="bhtd"),
        (q, k, v),
        plain(*exact),
        exact,
        tolerance,
        tolerance,
    )


def test_segments():
    torch.manual_seed(2)
    tensors = [torch.randn(n, h, 16, requires_grad=True) for n, h in ((9, 4), (30, 2), (30, 2))]
    exact = doubles(*tensors)
    parts = [
        plain(*(x[at].transpose(0, 1)[None] for x, at in zip(exact, (rows, keys, keys))))
        for rows, keys in ((slice(0, 4), slice(0, 10)), (slice(4, 9), slice(10, 30)))
    ]
    expected = torch.cat([part[0].transpose(0, 1) for part in parts])
    out = regard.torch.attention(*tensors, segments=([0, 4, 9], [0, 10, 30]))
    compare(out, tensors, expected, exact)


def test_lse_and_no_grad():
    q, k, v = problem()
    out, lse = regard.torch.attention(q, k, v, layout="bhtd", lse=True)
    assert out.requires_grad and not lse.requires_grad
    with torch.no_grad():
        same = regard.torch.attention(q, k, v, layout="bhtd")
    assert not same.requires_grad and torch.equal(same, out)
    assert torch.equal(same, regard.attention(q.detach(), k.detach(), v.detach(), layout="bhtd"))
    with pytest.raises(ValueError, match="lse exists for softmax only"):
        regard.torch.attention(q, k, v, layout="bhtd", lse=True, normaliser="relu")


def test_dropout():
    q, k, v = problem()
    torch.manual_seed(3)
    one, other = (regard.torch.attention(q, k, v, layout="bhtd", dropout=0.5) for _ in range(2))
    assert not torch.equal(one, other)
    torch.manual_seed(3)
    assert torch.equal(one, regard.torch.attention(q, k, v, layout="bhtd", dropout=0.5))
    with pytest.raises(ValueError, match="weight and dropout exclude each other"):
        regard.torch.attention(q, k, v, layout="bhtd", dropout=0.5, weight=lambda p: p)


def test_a_tensor_changed_before_the_backward_pass_is_noticed():
    q, k, v = problem()
    bias = torch.zeros(7, 13)
    bias.requires_grad_()
    out = regard.torch.attention(q, k, v, layout="bhtd", bias=bias)
    with torch.no_grad():
        bias += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def queries(dtype=torch.float32):
    torch.manual_seed(1)
    return [torch.randn(*SHAPE[:3], 16, dtype=dtype, requires_grad=True) for _ in range(3)]


def everywhere(score_mod, s):
    """The function on every score, by torch.vmap as PyTorch's own eager FlexAttention does it."""
    for mapped in (4, 3, 2, 1):
        score_mod = torch.vmap(
            score_mod, in_dims=tuple(0 if n in (0, mapped) else None for n in range(5))
        )
    return score_mod(s, *(torch.arange(extent) for extent in SHAPE))


@pytest.mark.filterwarnings("ignore")  # PyTorch's advice to compile
@pytest.mark.parametrize("name", published.score_mods(torch, A))
def test_published_score_mods_as_pytorch_runs_them(name):
    score_mod = published.score_mods(torch, A)[name]
    # rounding() jumps where float32 and float64 differ.
    tensors = queries(torch.float64 if name == "rounding" else torch.float32)
    exact = doubles(*tensors)
    out = regard.torch.flex_attention(*tensors, score_mod)
    if name != "head_bias_with_open_axes":  # PyTorch itself cannot trace it
        theirs = flex.flex_attention(*(t.detach() for t in exact), score_mod=score_mod)
        torch.testing.assert_close(out.double(), theirs, rtol=1e-5, atol=1e-5)
    compare(out, tensors, plain(*exact, score=lambda s: everywhere(score_mod, s)), exact)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", published.mask_mods(torch, A))
def test_published_mask_mods_as_pytorch_runs_them(name):
    mask_mod = published.mask_mods(torch, A)[name]
    tensors = queries()
    block_mask = flex.create_block_mask(mask_mod, *SHAPE, device="cpu", BLOCK_SIZE=8)
    exact = doubles(*tensors)
    out = regard.torch.flex_attention(*tensors, block_mask=block_mask)
    theirs = flex.flex_attention(*(t.detach() for t in exact), block_mask=block_mask)
    torch.testing.assert_close(out.double(), theirs, rtol=1e-5, atol=1e-5)
    compare(
        out, tensors, plain(*exact, allowed=flex.create_mask(mask_mod, *SHAPE, device="cpu")), exact
    )
    assert torch.equal(regard.flex_attention(*(t.detach() for t in tensors), mask_mod=mask_mod),
                       regard.flex_attention(*(t.detach() for t in tensors), block_mask=block_mask))


def test_a_block_mask_that_is_only_blocks():
    """PyTorch's compiled kernels read them so; its eager ones do not."""
    q, k, v = (t.detach() for t in queries())
    counts, indices = (
        torch.tensor([[[1, 2, 1]]]),
        torch.tensor([[[[2, 0, 1], [0, 1, 2], [1, 0, 2]]]]),
    )
    block_mask = flex.BlockMask.from_kv_blocks(counts.int(), indices.int(), BLOCK_SIZE=8)
    blocks = torch.tensor([[0, 0, 1], [1, 1, 0], [0, 1, 0]], dtype=torch.bool)
    allowed = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)
    out = regard.flex_attention(q, k, v, block_mask=block_mask)
    torch.testing.assert_close(
        out.double(),
        plain(q.double(), k.double(), v.double(), allowed=allowed),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.filterwarnings("ignore")
def test_return_lse():
    q, k, v = (t.detach() for t in queries())
    expected = flex.flex_attention(q.double(), k.double(), v.double(), return_lse=True)
    for function in (regard.flex_attention, regard.torch.flex_attention):
        for ours, theirs in zip(function(q, k, v, return_lse=True), expected):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def test_mistakes_of_flex_attention():
    q, k, v = problem()
    with pytest.raises(
        ValueError, match="key has 2 heads, query has 4; enable_gqa=True shares them"
    ):
        regard.torch.flex_attention(q, k, v)
    with pytest.raises(ValueError, match="query has 3 axes"):
        regard.torch.flex_attention(q[0], k, v)
    with pytest.raises(ValueError, match="key has batch 3, query has 2"):
        regard.torch.flex_attention(q, torch.zeros(3, 4, 5, 16), torch.zeros(3, 4, 5, 16))
    with pytest.raises(ValueError, match="flex_attention: query requires a gradient.*regard.torch"):
        regard.flex_attention(q, k, v, enable_gqa=True)


@pytest.mark.parametrize("name", regard.torch.__all__)
def test_public_names_explain_themselves(name):
    doc = inspect.getdoc(getattr(regard.torch, name))
    for parameter in inspect.signature(getattr(regard.torch, name)).parameters:
        assert re.search(rf"\b{parameter}\b", doc) or "Takes regard.attention()'s" in doc, parameter
