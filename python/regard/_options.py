"""Options of one call: what a person wrote for each slot becomes what the library takes."""

import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from regard import _core
from regard._context import Trace
from regard._expr import Expr
from regard._functions import real
from regard._masks import as_mask, as_score
from regard._slots import Normaliser, Similarity, as_normaliser, as_similarity
from regard._trace import trace_score

_MAX_THREADS = 1024


def options(call: str, trace: Trace, *, mask: Any = None, score: Any = None,
            bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
            similarity: Any = "dot", scale: Any = None, threads: Any = 0) -> _core.Options:
    if scale is not None and (not isinstance(scale, numbers.Real) or isinstance(scale, bool)):
        raise TypeError(f"{call}: scale is {scale!r}, must be a number or None")
    return _core.Options(
        as_mask(mask, trace, call), as_score(score, bias, trace, call),
        _slot(as_normaliser(normaliser, call), trace), _as_weight(weight, trace, call),
        _slot(as_similarity(similarity, call), trace), None if scale is None else float(scale),
        thread_count(threads, call))


def _slot(slot: Normaliser | Similarity, trace: Trace) -> Any:
    for array in slot.arrays:
        trace.arrays[id(array)] = array
    return slot.core


def thread_count(threads: Any, call: str) -> int:
    try:
        threads = operator.index(threads)
    except TypeError:
        raise TypeError(f"{call}: threads is {threads!r}, must be an integer") from None
    if not 0 <= threads <= _MAX_THREADS:
        raise ValueError(f"{call}: threads ({threads}) is not in 0 .. {_MAX_THREADS}")
    return threads


def _as_weight(weight: Any, trace: Trace, call: str) -> _core.Expr:
    if weight is None:
        return _core.Expr()
    if isinstance(weight, Expr):
        return real(weight)._core
    if isinstance(weight, Callable):
        return trace_score(weight, ("weight",), f"{call}: weight", trace)._core
    raise TypeError(f"{call}: weight is a {type(weight).__name__}, must be None, an expression of "
                    "regard.program.weight(), or a function of p")


def check_flag(value: Any, name: str, call: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{call}: {name} is {value!r}, must be True or False")
    return bool(value)


def check_layout(layout: Any, call: str) -> str:
    if not isinstance(layout, str):
        raise TypeError(f"{call}: layout is {layout!r}, must be letters such as 'thd'")
    _core.check_layout(layout)
    return layout
