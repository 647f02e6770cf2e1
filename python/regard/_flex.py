"""flex_attention(): PyTorch FlexAttention's interface over the operator."""

from collections.abc import Callable
from typing import Any

import numpy as np

from regard import _arrays, _core, program
from regard._attention import run
from regard._call import Call
from regard._context import Trace, tracing
from regard._expr import Expr
from regard._options import check_flag, thread_count
from regard._slots import dot, softmax
from regard._trace import trace_mask, trace_score

_CALL = "flex_attention"
_MASK_LEAVES = ("batch", "head", "row", "key")  # PyTorch's q_idx is the query's index in the call


def flex_attention(query: Any, key: Any, value: Any, score_mod: Callable[..., Any] | None = None,
                   block_mask: Any = None, scale: float | None = None, enable_gqa: bool = False,
                   return_lse: bool = False, kernel_options: Any = None, *,
                   mask_mod: Callable[..., Any] | None = None, threads: int = 0,
                   out: Any = None) -> Any:
    """PyTorch's flex_attention() without its compiler: score_mod and mask_mod are called once.

        query  [batch, heads, tokens, dim]       key    [batch, kv_heads, keys, dim]
        value  [batch, kv_heads, keys, dim_v]    out    [batch, heads, tokens, dim_v]
    key and value may have batch 1. NumPy arrays and torch CPU tensors, as in regard.attention().

    score_mod   score_mod(score, b, h, q_idx, kv_idx) gives the score to use, a traced value as its
                arguments are: operators, functions of torch and numpy, and arrays indexed by them
                (bias[h, q_idx, kv_idx]) write a program down. Conditions are torch.where(), not if
    block_mask  a torch BlockMask: its mask_mod says which keys a query may use, or, where it has
                none, its blocks. A function is taken as mask_mod
    mask_mod    mask_mod(b, h, q_idx, kv_idx) gives true where the key is allowed. Both may be given
    scale       multiplies every score; default 1/sqrt(dim)
    enable_gqa  True allows fewer kv_heads than heads
    return_lse  True: return (out, lse); lse [batch, heads, tokens], natural logarithm
    kernel_options  ignored: they name choices of PyTorch's compiler
    threads, out  as in regard.attention()

    No mask is stored: create_block_mask() is not needed, and blocks without an allowed key are
    skipped all the same.

    Raises TypeError for functions that cannot be traced (`if score > 0:`), ValueError for shapes
    and values that break a rule.
    Source: Dong et al. 2024, "Flex Attention"; torch.nn.attention.flex_attention.
    """
    check_flag(return_lse, "return_lse", _CALL)
    call = flex_call(query, key, value, enable_gqa)
    slots = flex_options(score_mod, block_mask, mask_mod, scale, threads, Trace(call.sizes))
    out, extras = run(query, call, slots, ("lse",) if return_lse else (), out)
    return (out, extras.lse) if return_lse else out


def flex_call(query: Any, key: Any, value: Any, enable_gqa: Any) -> Call:
    """The arrays, one sequence of key and value for every query's where there is one."""
    q = _arrays.borrow(query, "query", "bhtd", call=_CALL)
    k, v = (_arrays.borrow(broadcast(array, q.shape[:1]), name, "bhtd", call=_CALL)
            for name, array in (("key", key), ("value", value)))
    if not check_flag(enable_gqa, "enable_gqa", _CALL) and k.shape[1] != q.shape[1]:
        raise ValueError(f"{_CALL}: key has {k.shape[1]} heads, query has {q.shape[1]}; "
                         "enable_gqa=True shares them")
    return Call(_CALL, q, k, v, "bhtd")


def flex_options(score_mod: Any, block_mask: Any, mask_mod: Any, scale: Any, threads: Any,
                 trace: Trace) -> _core.Options:
    mask, score = programs(score_mod, block_mask, mask_mod, trace)
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, (int, float))):
        scale = _number(scale)
    return _core.Options(mask, score, softmax().core, _core.Expr(), dot().core, scale,
                         thread_count(threads, _CALL))


def programs(score_mod: Any, block_mask: Any, mask_mod: Any,
             trace: Trace) -> tuple[_core.Expr, _core.Expr]:
    """The mask and the score program that PyTorch's arguments stand for."""
    score = _core.Expr()
    if score_mod is not None:
        _check_function(score_mod, "score_mod")
        score = trace_score(score_mod, ("score", *_MASK_LEAVES), f"{_CALL}: score_mod", trace)._core
    mask: Expr | None = None
    for name, given in (("block_mask", block_mask), ("mask_mod", mask_mod)):
        if given is None:
            continue
        part = _mask(given, name, trace)
        if part is not None:
            mask = part if mask is None else mask & part
    return (_core.Expr() if mask is None else mask._core), score


def _mask(given: Any, name: str, trace: Trace) -> Expr | None:
    if name == "block_mask" and hasattr(given, "mask_mod") and hasattr(given, "kv_indices"):
        function = given.mask_mod
        if function is None or getattr(function, "__name__", "") == "noop_mask":
            return _blocks(given, trace)
        given, name = function, "block_mask.mask_mod"
    _check_function(given, name)
    return trace_mask(given, _MASK_LEAVES, f"{_CALL}: {name}", trace)


def _blocks(block_mask: Any, trace: Trace) -> Expr | None:
    """The blocks of a BlockMask without a function: [batch, heads, query blocks, key blocks]."""
    block_q, block_k = block_mask.BLOCK_SIZE
    if block_mask.kv_num_blocks.numel() == 1 and block_q >= trace.sizes.rows \
            and block_k >= trace.sizes.keys:
        return None  # PyTorch's way to say that there is no mask
    blocks = program.array(block_mask.to_dense().bool(), "blocks")
    with tracing(trace):
        at = [program.batch(), program.head(), program.row() // block_q, program.key() // block_k]
        index = [0 if extent == 1 else axis for axis, extent in zip(at, blocks.shape)]
        return blocks[tuple(index)]


def _check_function(function: Any, name: str) -> None:
    if not callable(function):
        raise TypeError(f"{_CALL}: {name} is a {type(function).__name__}, must be a function")


def broadcast(array: Any, batch: tuple[int, ...]) -> Any:
    """[1, ...] -> [batch, ...] without a copy; any other array itself."""
    shape = tuple(getattr(array, "shape", ()))
    if len(shape) != 4 or shape[0] != 1 or batch[0] == 1:
        return array
    if _arrays.is_tensor(array):
        return array.expand(*batch, *shape[1:])
    return np.broadcast_to(array, (*batch, *shape[1:]))


def _number(scale: Any) -> float:
    try:
        return float(scale)
    except (TypeError, ValueError):
        raise TypeError(f"{_CALL}: scale is {scale!r}, must be a number or None") from None
