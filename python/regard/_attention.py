"""attention() and explain(): what a person wrote becomes what the library takes."""

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from regard import _arrays, _core, _extras
from regard._call import Call, call_of
from regard._context import Trace
from regard._masks import MaskLike
from regard._options import check_flag, check_layout, options
from regard._segments import Segment

Floats = NDArray[np.floating[Any]]
Segments = Sequence[Segment] | Sequence[int] | tuple[Sequence[int], Sequence[int]] | None


@overload
def attention(q: NDArray[Any], k: Any, v: Any, *, mask: MaskLike = None, score: Any = None,
              bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
              similarity: Any = "dot", scale: float | None = None, lse: Literal[False] = False,
              extras: tuple[()] = (), top: int = 0, layout: str = "thd",
              segments: Segments = None, threads: int = 0, out: None = None) -> Floats: ...
@overload
def attention(q: NDArray[Any], k: Any, v: Any, *, mask: MaskLike = None, score: Any = None,
              bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
              similarity: Any = "dot", scale: float | None = None, lse: Literal[True],
              extras: tuple[()] = (), top: int = 0, layout: str = "thd",
              segments: Segments = None, threads: int = 0,
              out: None = None) -> tuple[Floats, NDArray[np.float32]]: ...
@overload
def attention(q: Any, k: Any, v: Any, *, mask: MaskLike = None, score: Any = None,
              bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
              similarity: Any = "dot", scale: float | None = None, lse: bool = False,
              extras: Sequence[str] = (), top: int = 0, layout: str = "thd",
              segments: Segments = None, threads: int = 0, out: Any = None) -> Any: ...


def attention(q: Any, k: Any, v: Any, *, mask: MaskLike = None, score: Any = None,
              bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
              similarity: Any = "dot", scale: float | None = None, lse: bool = False,
              extras: Sequence[str] = (), top: int = 0, layout: str = "thd",
              segments: Segments = None, threads: int = 0, out: Any = None) -> Any:
    """sum of weight(normalise(score(scale · u(q, k)) where mask)) v for each head.

    By default softmax(scale · q kᵀ) v. No score is ever stored.

    Arrays, in the order of axes that layout "thd" names:
        q    [tokens, heads, dim]
        k    [keys, kv_heads, dim]
        v    [keys, kv_heads, dim_v]
        out  [tokens, heads, dim_v]
    heads is a multiple of kv_heads: query head h reads key/value head h // (heads // kv_heads).
    dim and dim_v are at most 1024; any size may be 0.

    Each is float32, float16 or bfloat16, or all are float64, on the CPU with any strides, and stays
    where it is: a NumPy array, a torch tensor, or whatever offers DLPack or the buffer protocol.
    Other threads of Python run meanwhile; nobody may write to these arrays until the call returns.

    mask     which keys a query may use: None (all), "causal", a condition of regard.program, a
             function of (i, j) or (b, h, i, j) that is called once to write the condition down, or
             a boolean array of 1 to 4 axes, the last of [batch, heads, tokens, keys]. An axis of
             extent 1 is broadcast; true is allowed. What a masked key holds reaches nothing
    score    what is done to the scaled scores before the mask: an expression of regard.program, or
             a function of (s), (s, i, j) or (s, b, h, i, j): lambda s: 30 * np.tanh(s / 30)
    bias     an array added to the scores behind score, with axes like those of a mask array
    normaliser  "softmax", "sigmoid", "relu", "sparsemax", "entmax15", "hardmax", or a
             regard.Normaliser such as regard.softmax_with_sink(0.0)
    weight   what is done to the weights: regard.dropout(rate, seed), an expression of
             regard.program.weight(), or a function of p
    similarity  "dot", "cosine", "negative_distance", or a regard.Similarity
    scale    multiplies every score; default 1/sqrt(dim), other similarities state theirs. Zero and
             negative are legal
    lse      True: return (out, lse); lse holds the natural logarithm of each row's softmax
             denominator, with the axes of out but d. softmax only; without a sink
    extras   names of what to give besides: return (out, regard.Extras), lse in it if asked for.
             "entropy" (nats) and "key_sums" (weights summed over the rows) cost no matrix; "top",
             with top=k, the k largest weights of each row and their keys; "similarities",
             "scores", "masked" and "weights" are whole matrices [..., keys]
    layout   a letter for each axis: t (tokens or keys), h (heads), d (dim), b (batch), in any
             order: "thd", "bhtd", "bthd", ... Sequences of a batch have one length
    segments sequences of any lengths, one after another in arrays without b: bounds such as
             [0, 5, 12] of rows and keys, a pair of bounds (of rows, of keys), or regard.Segments.
             Indices count within a sequence, and batch is its number
    threads  how many to use; 0 = all processors. Never changes a bit of the result
    out      where to put the result: writable, overlapping no input; rounded once to its type

    In a function b, h, i and j are expressions (see regard.program): i is the query's position
    among the keys, keys - tokens + its index.

    Returns out: the array that was given, else a new one of q's type, a torch tensor if q is one
    and a NumPy array if not. A row that may use no key gives zeros, and lse -inf.

    Raises TypeError for what is no array of such numbers on the CPU or is of a wrong kind,
    ValueError for shapes and values that break a rule, MemoryError. out is untouched then.
    Source: Vaswani et al. 2017, "Attention Is All You Need", eq. 1; the online softmax is Milakov
    and Gimelshein 2018, its tiling FlashAttention (Dao et al. 2022).
    """
    call = call_of("attention", {"q": q, "k": k, "v": v}, layout, segments)
    slots = options("attention", Trace(call.sizes), mask=mask, score=score, bias=bias,
                    normaliser=normaliser, weight=weight, similarity=similarity, scale=scale,
                    threads=threads)
    fields = _extras.wanted(extras, top, check_flag(lse, "lse", "attention"), "attention")
    out, found = run(q, call, slots, fields, out, top)
    if len(extras) > 0:
        return out, found
    return (out, found.lse) if lse else out


def run(q: Any, call: Call, slots: _core.Options, fields: tuple[str, ...], out: Any,
        top: int = 0) -> tuple[Any, _extras.Extras]:
    """The call itself, with arrays like q for what nobody has given."""
    if out is None:
        sizes = call.sizes_by_letter
        out = _arrays.empty(tuple(sizes[letter] for letter in call.layout), q, call.q.dtype)
        if call.segments is not None:
            out[...] = 0  # rows in no segment
    out_view = _arrays.borrow(out, "out", call.layout, True, call.name)
    extras, core = _extras.make(fields, q, call, top)
    _core.attention(call.q, call.k, call.v, out_view, slots, core, call.segments)
    return out, extras


def explain(q: Any, k: Any, v: Any, *, mask: MaskLike = None, score: Any = None,
            bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
            similarity: Any = "dot", scale: float | None = None, layout: str = "thd",
            threads: int = 0) -> str:
    """What attention() does with such arrays, in words: target, tiles, how the work is cut and why.

    Takes attention()'s arguments. In place of an array its shape will do, a tuple of sizes in the
    order that layout names: explain((2048, 12, 64), (2048, 4, 64), (2048, 4, 64), mask="causal").
    Reads no number and computes nothing.

    Raises what attention() raises.
    Source: see attention().
    """
    layout = check_layout(layout, "explain")
    views = [_shaped(source, name, layout) for name, source in zip("qkv", (q, k, v))]
    slots = options("explain", Trace(Call("explain", *views, layout).sizes), mask=mask, score=score,
                    bias=bias, normaliser=normaliser, weight=weight, similarity=similarity,
                    scale=scale, threads=threads)
    return _core.explain(*views, slots)


def _shaped(source: Any, name: str, layout: str) -> _core.Borrowed:
    if not isinstance(source, (tuple, list)):
        return _arrays.borrow(source, name, layout)
    try:
        sizes = [operator.index(size) for size in source]
    except TypeError:
        raise TypeError(f"explain: {name} is {source!r}, must be an array or sizes") from None
    if min(sizes, default=0) < 0 or math.prod(max(size, 1) for size in sizes) >= 2**63:
        raise ValueError(f"explain: {name} is {source!r}; sizes are not negative and their "
                         "product is below 2**63")
    return _core.shaped(sizes, "attention", name, layout)
