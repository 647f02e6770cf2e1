"""Extras: what attention() gives besides out, made as arrays before and filled while it runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from regard import _arrays, _core
from regard._call import Call

_MATRICES = ("similarities", "scores", "masked", "weights")
_NAMES = ("entropy", "key_sums", "top", *_MATRICES)


@dataclass
class Extras:
    """What was asked for besides out; the others are None. Axes are in the layout's order.

    Where a row has fewer keys, a top weight is 0 and its key -1. Behind the keys of a segment that
    is shorter than others stand zeros, and -inf in scores.
    """

    lse: Any = None  # [batch, tokens, heads], natural logarithm of the softmax denominator
    entropy: Any = None  # [batch, tokens, heads], nats, of the normalised weights
    key_sums: Any = None  # [segments or batch, heads, keys], weights summed over the rows
    top_weights: Any = None  # [batch, tokens, heads, k], descending, lower keys first among equals
    top_keys: Any = None  # [batch, tokens, heads, k], int32
    similarities: Any = None  # [batch, tokens, heads, keys], scale · u(q, k)
    scores: Any = None  # the same, behind the score program
    masked: Any = None  # the same, -inf where masked
    weights: Any = None  # the same, behind normaliser and weight program


def wanted(names: Any, top: int, lse: bool, call: str) -> tuple[str, ...]:
    """The names of Extras' fields that are asked for."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{call}: extras is {names!r}, must be a list of names")
    names = tuple(names)
    for name in names:
        if name not in _NAMES:
            raise ValueError(f"{call}: extras has {name!r}, names are {', '.join(_NAMES)}")
    if ("top" in names) != (top > 0):
        raise ValueError(f"{call}: extras {'asks' if top <= 0 else 'does not ask'} for 'top', and "
                         f"top is {top}")
    fields = [name for name in names if name != "top"]
    return (*(["lse"] if lse else []), *fields,
            *(["top_weights", "top_keys"] if "top" in names else []))


def make(fields: tuple[str, ...], like: Any, call: Call, top: int) -> tuple[Extras, _core.Extras]:
    """The arrays, and what C++ fills."""
    extras, core = Extras(), _core.Extras()
    for field in fields:
        axes, sizes = call.layout, dict(call.sizes_by_letter)
        if field in ("lse", "entropy"):
            axes = axes.replace("d", "")
        elif field == "key_sums":
            axes, sizes["d"] = axes.replace("t", ""), call.longest_keys
            if call.segments is not None:
                axes, sizes["b"] = "bhd", len(call.segments)
        else:
            sizes["d"] = top if field.startswith("top_") else call.longest_keys
        shape = tuple(sizes[letter] for letter in axes)
        array = _arrays.empty(shape, like, "int32" if field == "top_keys" else "float32")
        if call.segments is not None:
            array[...] = 0  # rows in no segment
        setattr(extras, field, array)
        core.add(field, _arrays.borrow(array, field, axes, True))
    return extras, core
