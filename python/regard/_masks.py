"""Masks: which keys a query row may use. No mask is ever stored as an array."""

from typing import Any, Literal

from regard import _core


def full() -> _core.Mask:
    """The mask that allows every key; what mask=None stands for."""
    return _core.full()


def causal(align: Literal["bottom_right", "top_left"] = "bottom_right") -> _core.Mask:
    """The mask that hides the future; what mask="causal" stands for.

    align says where the diagonal ends when there are more keys than tokens:
        "bottom_right"  row i may use keys 0 .. keys - tokens + i: the rows are the last tokens
        "top_left"      row i may use keys 0 .. i

    A row that may use no key gives zeros, and -inf as its log-sum-exp.

    Raises ValueError for another word.
    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.
    """
    if not isinstance(align, str):
        raise TypeError(f"causal: align is {align!r}, must be 'bottom_right' or 'top_left'")
    return _core.causal(align)


def as_mask(mask: Any) -> _core.Mask:
    """The mask that the argument of attention() stands for."""
    if isinstance(mask, _core.Mask):
        return mask
    if mask is None:
        return _core.full()
    if isinstance(mask, str):
        if mask == "causal":
            return _core.causal("bottom_right")
        raise ValueError(f"attention: mask is {mask!r}, the only word for one is 'causal'")
    raise TypeError(f"attention: mask is a {type(mask).__name__}, "
                    "must be None, 'causal' or a regard.Mask such as regard.causal()")
