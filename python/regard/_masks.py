"""What may stand for a mask, a score program or a weight program: words, arrays, functions."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from regard import _arrays, _core, program
from regard._captured import Array, capture
from regard._context import Sizes, Trace, tracing
from regard._expr import Expr, as_expr
from regard._functions import real
from regard._trace import arity, trace_mask, trace_score

_MASK_ARGUMENTS = {2: ("query", "key"), 4: ("batch", "head", "query", "key")}
_SCORE_ARGUMENTS = {1: ("score",), 3: ("score", "query", "key"),
                    5: ("score", "batch", "head", "query", "key")}

MaskLike = Expr | Callable[..., Any] | Literal["causal"] | None | Any


def full() -> Expr:
    """The mask that allows every key; what mask=None stands for."""
    return as_expr(True)


def causal(align: Literal["bottom_right", "top_left"] = "bottom_right") -> Expr:
    """The mask that hides the future; what mask="causal" stands for.

    align says where the diagonal ends when there are more keys than tokens:
        "bottom_right"  row i may use keys 0 .. keys - tokens + i: the rows are the last tokens
        "top_left"      row i may use keys 0 .. i

    A row that may use no key gives zeros, and -inf as its log-sum-exp. Composes with other masks:
    regard.causal() & regard.program.window(256, 0).

    Raises ValueError for another word.
    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.
    """
    if not isinstance(align, str):
        raise TypeError(f"causal: align is {align!r}, must be 'bottom_right' or 'top_left'")
    return Expr(_core.causal(align))


def as_mask(mask: Any, trace: Trace, call: str = "attention") -> _core.Expr:
    """The condition that the argument of attention() stands for."""
    if mask is None:
        return _core.Expr()
    if isinstance(mask, str):
        if mask == "causal":
            return _core.causal("bottom_right")
        raise ValueError(f"{call}: mask is {mask!r}, the only word for one is 'causal'")
    if isinstance(mask, Expr):
        if mask.kind != "boolean":
            raise TypeError(f"{call}: mask is {mask}, which is {mask.kind}, must be a condition, "
                            "true where the key is allowed")
        return _core.Expr() if str(mask) == "True" else mask._core
    if is_array(mask):
        return _mask_of_array(mask, trace.sizes, call)
    if callable(mask):
        leaves = arity(mask, _MASK_ARGUMENTS, f"{call}: mask")
        return trace_mask(mask, leaves, f"{call}: mask", trace)._core
    raise TypeError(f"{call}: mask is a {type(mask).__name__}, must be None, 'causal', a condition "
                    "such as regard.causal(), a function of (i, j) or (b, h, i, j), or a boolean "
                    "array")


def is_array(value: Any) -> bool:
    return (isinstance(value, (np.ndarray, Array)) or _arrays.is_tensor(value)
            or hasattr(value, "__dlpack__"))


def _mask_of_array(mask: Any, sizes: Sizes | None, call: str) -> _core.Expr:
    dtype = str(getattr(mask, "dtype", "bool"))
    if not dtype.endswith("bool"):
        meant = ("; real numbers that are added to the scores are `bias`" if "float" in dtype
                 else "; write mask != 0")
        raise TypeError(f"{call}: mask is an array of {dtype.removeprefix('torch.')}, must be "
                        f"boolean, true where the key is allowed{meant}")
    check_extents(mask, sizes, "mask", call)
    return program.allowed(program.array(mask, "mask"))._core


def check_extents(array: Any, sizes: Sizes | None, name: str, call: str) -> None:
    """Each axis of the last ones of [batch, heads, rows, keys], or 1."""
    shape = tuple(array.shape)
    if not 1 <= len(shape) <= 4:
        raise ValueError(f"{call}: {name} has {len(shape)} axes, must have 1 to 4, the last of "
                         "[batch, heads, tokens, keys]")
    if sizes is None:
        return
    wanted = (sizes.batch, sizes.heads, sizes.rows, sizes.keys)[4 - len(shape):]
    if any(is_ not in (1, must) for is_, must in zip(shape, wanted)):
        raise ValueError(f"{call}: {name} is {' x '.join(map(str, shape))}, must be "
                         f"{' x '.join(map(str, wanted))}, or 1 along an axis that is broadcast")


def as_score(score: Any, bias: Any, trace: Trace, call: str = "attention") -> _core.Expr:
    """The score program, and behind it the addition of a bias."""
    result = None
    if isinstance(score, Expr):
        result = real(score)
    elif callable(score) and not is_array(score):
        leaves = arity(score, _SCORE_ARGUMENTS, f"{call}: score")
        result = trace_score(score, leaves, f"{call}: score", trace)
    elif score is not None:
        raise TypeError(f"{call}: score is a {type(score).__name__}, must be None, an expression "
                        "of regard.program, or a function of (s), (s, i, j) or (s, b, h, i, j); an "
                        "array that is added to the scores is `bias`")
    if bias is not None:
        if not is_array(bias):
            raise TypeError(f"{call}: bias is a {type(bias).__name__}, must be an array of real "
                            "numbers")
        if "float" not in str(getattr(bias, "dtype", "float")):
            raise TypeError(f"{call}: bias is {bias.dtype}, must be real")
        check_extents(bias, trace.sizes, "bias", call)
        with tracing(trace):
            trace.names.setdefault(id(bias), "bias")
            result = program.additive_bias(capture(bias), result)
    return _core.Expr() if result is None else result._core
