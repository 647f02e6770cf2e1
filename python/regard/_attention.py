"""attention() and explain(): what a person wrote becomes what the library takes."""

import math
import numbers
import operator
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from regard import _arrays, _core, _masks

_MAX_THREADS = 1024

Floats = NDArray[np.float32]
MaskLike = _core.Mask | Literal["causal"] | None


@overload
def attention(q: NDArray[Any], k: Any, v: Any, *, mask: MaskLike = None,
              scale: float | None = None, lse: Literal[False] = False, layout: str = "thd",
              threads: int = 0, out: None = None) -> Floats: ...
@overload
def attention(q: NDArray[Any], k: Any, v: Any, *, mask: MaskLike = None,
              scale: float | None = None, lse: Literal[True], layout: str = "thd",
              threads: int = 0, out: None = None) -> tuple[Floats, Floats]: ...
@overload
def attention(q: Any, k: Any, v: Any, *, mask: MaskLike = None,
              scale: float | None = None, lse: bool = False, layout: str = "thd",
              threads: int = 0, out: Any = None) -> Any: ...


def attention(q: Any, k: Any, v: Any, *, mask: MaskLike = None, scale: float | None = None,
              lse: bool = False, layout: str = "thd", threads: int = 0, out: Any = None) -> Any:
    """softmax(scale · q kᵀ where mask) v for each head. No score is ever stored.

    Arrays, in the order of axes that layout "thd" names:
        q    [tokens, heads, dim]
        k    [keys, kv_heads, dim]
        v    [keys, kv_heads, dim_v]
        out  [tokens, heads, dim_v]
    heads is a multiple of kv_heads: query head h reads key/value head h // (heads // kv_heads).
    dim and dim_v are at most 1024; any size may be 0.

    Each is float32 on the CPU with any strides, and stays where it is: a NumPy array, a torch
    tensor, or whatever offers DLPack or the buffer protocol. Other threads of Python run
    meanwhile; nobody may write to these arrays until the call returns.

    mask     None (every key), "causal", or a regard.Mask
    scale    multiplies every score; default 1/sqrt(dim). Zero and negative are legal
    lse      True: return (out, lse); lse holds the natural logarithm of each row's softmax
             denominator, with the axes of out but d
    layout   a letter for each axis: t (tokens or keys), h (heads), d (dim), b (batch), in any
             order: "thd", "bhtd", "bthd", ... Sequences of a batch have one length
    threads  how many to use; 0 = all processors. Never changes a bit of the result
    out      where to put the result: float32, writable, overlapping no input

    Returns out: the array that was given, else a new one, a torch tensor if q is one and a NumPy
    array if not. A row that may use no key gives zeros, and lse -inf.

    Raises TypeError for what is no array of float32 on the CPU or is of a wrong kind, ValueError
    for shapes and values that break a rule, MemoryError. out is untouched then.
    Source: Vaswani et al. 2017, "Attention Is All You Need", eq. 1; the online softmax is Milakov
    and Gimelshein 2018, its tiling FlashAttention (Dao et al. 2022).
    """
    layout = _layout(layout)
    q_view, k_view, v_view = (_arrays.borrow(array, name, layout)
                              for name, array in zip("qkv", (q, k, v)))
    options = _options(mask, scale, threads)
    if not isinstance(lse, (bool, np.bool_)):
        raise TypeError(f"attention: lse is {lse!r}, must be True or False")

    before, after = q_view.shape[:layout.index("d")], q_view.shape[layout.index("d") + 1:]
    if out is None:
        dim_v = v_view.shape[layout.index("d")]
        out = _arrays.empty((*before, dim_v, *after), like=q)
    out_view = _arrays.borrow(out, "out", layout, writable=True)
    if not lse:
        _core.attention(q_view, k_view, v_view, out_view, None, *options)
        return out
    sums = _arrays.empty((*before, *after), like=q)
    sums_view = _arrays.borrow(sums, "lse", layout.replace("d", ""), writable=True)
    _core.attention(q_view, k_view, v_view, out_view, sums_view, *options)
    return out, sums


def explain(q: Any, k: Any, v: Any, *, mask: MaskLike = None, scale: float | None = None,
            layout: str = "thd", threads: int = 0) -> str:
    """What attention() does with such arrays, in words: target, tiles, how the work is cut and why.

    Takes attention()'s arguments. In place of an array its shape will do, a tuple of sizes in the
    order that layout names: explain((2048, 12, 64), (2048, 4, 64), (2048, 4, 64), mask="causal").
    Reads no number and computes nothing.

    Raises what attention() raises.
    Source: see attention().
    """
    layout = _layout(layout)
    q_view, k_view, v_view = (_shaped(source, name, layout)
                              for name, source in zip("qkv", (q, k, v)))
    return _core.explain(q_view, k_view, v_view, *_options(mask, scale, threads))


def _layout(layout: Any) -> str:
    if not isinstance(layout, str):
        raise TypeError(f"attention: layout is {layout!r}, must be letters such as 'thd'")
    _core.check_layout(layout)
    return layout


def _options(mask: Any, scale: Any, threads: Any) -> tuple[_core.Mask, float | None, int]:
    if scale is not None and not isinstance(scale, numbers.Real):
        raise TypeError(f"attention: scale is {scale!r}, must be a number or None")
    try:
        threads = operator.index(threads)
    except TypeError:
        raise TypeError(f"attention: threads is {threads!r}, must be an integer") from None
    if not 0 <= threads <= _MAX_THREADS:
        raise ValueError(f"attention: threads ({threads}) is not in 0 .. {_MAX_THREADS}")
    return _masks.as_mask(mask), None if scale is None else float(scale), threads


def _shaped(source: Any, name: str, layout: str) -> _core.Array:
    if not isinstance(source, (tuple, list)):
        return _arrays.borrow(source, name, layout)
    try:
        sizes = [operator.index(size) for size in source]
    except TypeError:
        raise TypeError(f"explain: {name} is {source!r}, must be an array or sizes") from None
    if min(sizes, default=0) < 0 or math.prod(max(size, 1) for size in sizes) >= 2**63:
        raise ValueError(f"explain: {name} is {source!r}; sizes are not negative and their "
                         "product is below 2**63")
    return _core.shaped(sizes, name, layout)
