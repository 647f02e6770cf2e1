"""attention_backward(): gradients of attention()'s arguments, captured arrays included."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from regard import _arrays, _core
from regard._attention import Segments
from regard._call import Call, call_of
from regard._captured import Array
from regard._context import Trace
from regard._masks import MaskLike
from regard._options import options


class Gradients(NamedTuple):
    """Of q, k and v, shaped and typed like them, and float32 ones of captured arrays."""

    dq: Any
    dk: Any
    dv: Any
    arrays: tuple[np.ndarray, ...] = ()


def attention_backward(q: Any, k: Any, v: Any, out: Any, dout: Any, *, lse: Any = None,
                       arrays: Sequence[Array] = (), mask: MaskLike = None, score: Any = None,
                       bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
                       similarity: Any = "dot", scale: float | None = None, layout: str = "thd",
                       segments: Segments = None, threads: int = 0) -> Gradients:
    """Gradients of a loss with respect to q, k, v and captured arrays, given dloss/dout.

        q, dq      [tokens, heads, dim]        out, dout  [tokens, heads, dim_v]
        k, dk      [keys, kv_heads, dim]       lse        [tokens, heads]
        v, dv      [keys, kv_heads, dim_v]

    in the order of axes that layout names. The other arguments are attention()'s, and must be those
    that gave out: mask, score, bias, normaliser, weight, similarity, scale, segments, threads.

    out      as attention() gave it; in float32 for gradients as exact as float32's, whatever q is
             stored as: attention(..., out=np.empty(shape, np.float32))
    dout     dloss/dout
    lse      as attention(lse=True) gave it; computed again where it is None. softmax only
    arrays   regard.array(..., differentiable=True) that score, bias, weight, normaliser or
             similarity read; the gradients of these are wanted

    No matrix of tokens x keys is kept, and threads change no bit: every number receives its terms
    in one fixed order. A row that may use no key passes no gradient.

    Returns Gradients(dq, dk, dv, arrays).
    Raises TypeError and ValueError as attention() does, and ValueError for an array that is not
    differentiable.
    Source: Dao 2023, "FlashAttention-2", algorithm 2.
    """
    call = call_of("attention_backward", {"q": q, "k": k, "v": v}, layout, segments)
    for array in arrays:
        if not isinstance(array, Array):
            raise TypeError(f"{call.name}: arrays holds a {type(array).__name__}, must hold "
                            "regard.array(..., differentiable=True)")
        if not array.differentiable:
            raise ValueError(f"{call.name}: {array.name} is not differentiable; make it by "
                             "regard.array(..., differentiable=True)")
    slots = options(call.name, Trace(call.sizes), mask=mask, score=score, bias=bias,
                    normaliser=normaliser, weight=weight, similarity=similarity, scale=scale,
                    threads=threads)
    return run_backward((q, k, v), call, slots, out, lse, dout, arrays)


def run_backward(qkv: tuple[Any, Any, Any], call: Call, slots: _core.Options, out: Any, lse: Any,
                 dout: Any, arrays: Sequence[Array]) -> Gradients:
    def borrow(array: Any, name: str, axes: str, writable: bool = False) -> _core.Borrowed:
        return _arrays.borrow(array, name, axes, writable, call.name)

    gradients, views = [], []
    for name, array, view in zip(("dq", "dk", "dv"), qkv, (call.q, call.k, call.v)):
        gradients.append(_arrays.empty(view.shape, array, view.dtype))
        views.append(borrow(gradients[-1], name, call.layout, True))
    of_arrays = [np.empty(array._core.shape, np.float32) for array in arrays]
    sums = None if lse is None else borrow(lse, "lse", call.layout.replace("d", ""))
    _core.attention_backward(call.q, call.k, call.v, borrow(out, "out", call.layout), sums,
                             borrow(dout, "dout", call.layout), *views, slots, call.segments,
                             [array._core for array in arrays], of_arrays)
    return Gradients(*gradients, tuple(of_arrays))
