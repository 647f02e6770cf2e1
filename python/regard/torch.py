"""The bridge to PyTorch: attention with gradients, and a backend for transformers.

    import regard.torch
    out = regard.torch.attention(q, k, v, mask="causal")        # out.backward() works
    regard.torch.register()
    model = AutoModelForCausalLM.from_pretrained(..., attn_implementation="regard")

Everything runs on the CPU. Nothing of size tokens x keys is kept for the backward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from regard import _arrays, _core
from regard._attention import Segments, run
from regard._backward import run_backward
from regard._call import Call, call_of
from regard._captured import Array
from regard._context import Sizes, Trace
from regard._flex import broadcast, flex_call, flex_options
from regard._masks import MaskLike
from regard._options import check_flag, check_layout, options
from regard._segments import as_segments
from regard._slots import as_normaliser, dropout as dropout_program

__all__ = ["attention", "flex_attention", "register"]


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, mask: MaskLike = None,
              score: Any = None, bias: Any = None, normaliser: Any = "softmax",
              weight: Any = None, similarity: Any = "dot", dropout: float = 0.0,
              seed: int | None = None, arrays: Sequence[Array] = (), scale: float | None = None,
              lse: bool = False, layout: str = "thd", segments: Segments = None,
              threads: int = 0) -> Any:
    """regard.attention() with gradients for q, k, v and every captured tensor that requires one.

    Takes regard.attention()'s arguments, and
        dropout  the probability that a weight is dropped; the others are divided by 1 - dropout
        seed     what dropout's random numbers are keyed on; default drawn from torch's generator
        arrays   regard.array()s that expressions in mask, score, weight read and whose tensors are
                 to get gradients; those of functions, bias, normaliser and similarity are found

    For the backward pass out is kept in float32 (float64 of float64), whatever q is stored as, so
    that gradients are as exact as float32's. lse passes no gradient.

    Returns out, of q's dtype, or (out, lse).
    Raises what regard.attention() raises.
    Source: Dao 2023, "FlashAttention-2", algorithm 2.
    """
    check_layout(layout, "attention")
    parts = as_segments(segments, layout, "attention")
    trace = Trace(None if parts is not None else _sizes(q, k, layout))
    if dropout:
        if weight is not None:
            raise ValueError("attention: weight and dropout exclude each other; write "
                             "regard.dropout() into the weight program")
        weight = dropout_program(dropout, _seed() if seed is None else seed)
    slots = options("attention", trace, mask=mask, score=score, bias=bias, normaliser=normaliser,
                    weight=weight, similarity=similarity, scale=scale, threads=threads)
    softmax = as_normaliser(normaliser, "attention").core.is_softmax
    check_flag(lse, "lse", "attention")
    if lse and not softmax:
        raise ValueError("attention: lse exists for softmax only")
    request = _Request(("q", "k", "v"), layout, segments, slots, softmax)
    found = request.apply((q, k, v), [*trace.arrays.values(), *arrays])
    return found if lse else found[0]


def flex_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                   score_mod: Callable[..., Any] | None = None, block_mask: Any = None,
                   scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False,
                   kernel_options: Any = None, *, mask_mod: Callable[..., Any] | None = None,
                   threads: int = 0) -> Any:
    """regard.flex_attention() with gradients for query, key, value and captured tensors.

        query  [batch, heads, tokens, dim]       key    [batch, kv_heads, keys, dim]
        value  [batch, kv_heads, keys, dim_v]    out    [batch, heads, tokens, dim_v]

    score_mod, block_mask, scale, enable_gqa, return_lse, kernel_options, mask_mod and threads are
    regard.flex_attention()'s.

    Raises what regard.flex_attention() raises.
    Source: Dong et al. 2024, "Flex Attention".
    """
    check_flag(return_lse, "return_lse", "flex_attention")
    key, value = (broadcast(x, query.shape[:1]) for x in (key, value))
    with torch.no_grad():
        call = flex_call(query, key, value, enable_gqa)
    trace = Trace(call.sizes)
    slots = flex_options(score_mod, block_mask, mask_mod, scale, threads, trace)
    request = _Request(("query", "key", "value"), "bhtd", None, slots, True)
    found = request.apply((query, key, value), list(trace.arrays.values()))
    return found if return_lse else found[0]


def register(name: str = "regard") -> None:
    """Lets transformers' models run with attn_implementation=name.

    Needs transformers of version 5. Masks stay programs: no mask of tokens x keys is made.
    """
    from regard import _transformers  # noqa: PLC0415 (transformers is imported where it is wanted)
    _transformers.register(name)


@dataclass
class _Request:
    """What _Attention needs besides tensors."""

    names: tuple[str, ...]
    layout: str
    segments: Any
    slots: _core.Options
    softmax: bool
    arrays: list[Array] = field(default_factory=list)  # whose gradients are wanted

    def apply(self, qkv: tuple[torch.Tensor, ...], arrays: list[Array]) -> Any:
        self.arrays = [array for array in arrays
                       if array.differentiable and _arrays.is_tensor(array.source)]
        return _Attention.apply(self, *qkv, *(array.source for array in self.arrays))

    def call(self, name: str, qkv: tuple[torch.Tensor, ...]) -> Call:
        return call_of(name, dict(zip(self.names, qkv)), self.layout, self.segments)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, request: _Request, q: Any, k: Any, v: Any, *sources: Any) -> Any:
        call = request.call("attention", (q, k, v))
        sizes = call.sizes_by_letter
        exact = torch.empty(tuple(sizes[letter] for letter in request.layout),
                            dtype=torch.float64 if q.dtype == torch.float64 else torch.float32)
        if request.segments is not None:
            exact.zero_()
        _, extras = run(q, call, request.slots, ("lse",) if request.softmax else (), exact)
        ctx.request = request
        ctx.save_for_backward(q, k, v, exact, extras.lse, *sources)
        lse = extras.lse if request.softmax else torch.empty(0)
        ctx.mark_non_differentiable(lse)
        return exact.to(q.dtype), lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Any, _: Any) -> Any:
        request = ctx.request
        q, k, v, exact, lse, *sources = ctx.saved_tensors
        found = run_backward((q, k, v), request.call("attention_backward", (q, k, v)),
                             request.slots, exact, lse, dout, request.arrays)
        of_arrays = [torch.from_numpy(gradient).to(source.dtype).reshape(source.shape)
                     for gradient, source in zip(found.arrays, sources)]
        return None, found.dq, found.dk, found.dv, *of_arrays


def _sizes(q: torch.Tensor, k: torch.Tensor, layout: str) -> Sizes | None:
    if q.ndim != len(layout) or k.ndim != len(layout):
        return None  # refused in a moment
    q_sizes, k_sizes = dict(zip(layout, q.shape)), dict(zip(layout, k.shape))
    return Sizes(q_sizes.get("b", 1), q_sizes["h"], q_sizes["t"], k_sizes["t"])


def _seed() -> int:
    return int(torch.randint(2**62, ()))
