"""Arrays at the border: whose memory is borrowed, and of which kind results are."""

import sys
from typing import Any

import numpy as np

from regard import _core


def is_tensor(source: Any) -> bool:
    """Is it a torch tensor? torch is asked only where somebody has imported it already."""
    return isinstance(source, getattr(sys.modules.get("torch"), "Tensor", ()))


def is_bfloat16(source: Any) -> bool:
    """Is it a NumPy array of ml_dtypes' bfloat16, a type that NumPy does not share?"""
    return (isinstance(source, np.ndarray) and source.dtype.name == "bfloat16"
            and source.dtype.itemsize == 2)


def borrow(source: Any, name: str, axes: str, writable: bool = False,
           call: str = "attention") -> _core.Borrowed:
    """The memory of source as the library sees it, with a letter of "bthd" for each axis."""
    bits = False
    if is_tensor(source):
        source = plain_tensor(source, name, call)
    elif isinstance(source, np.ma.MaskedArray):
        raise TypeError(f"{call}: {name} is a masked array, whose mask would be ignored; "
                        f"pass {name}.filled(...)")
    elif is_bfloat16(source):
        source, bits = source.view(np.uint16), True
    return _core.Borrowed(source, call, name, axes, writable, bits)


def plain_tensor(tensor: Any, name: str, call: str) -> Any:
    """The tensor, if its memory holds what it means: numbers on the CPU without a history."""
    torch = sys.modules["torch"]
    if tensor.device.type != "cpu":
        raise TypeError(f"{call}: {name} lies on {tensor.device}, must lie on the CPU")
    if tensor.layout != torch.strided:
        raise TypeError(f"{call}: {name} has the layout {tensor.layout}, must be dense")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{call}: {name} requires a gradient, and none is recorded here; "
                         f"use regard.torch.attention, pass {name}.detach(), or call under "
                         "torch.no_grad()")
    if tensor.is_neg():  # a view that negates when read
        raise TypeError(f"{call}: {name} is a negated view; pass {name}.resolve_neg()")
    return tensor.detach()


def empty(shape: tuple[int, ...], like: Any, dtype: str = "float32") -> Any:
    """A new array of the same kind as `like`: a torch tensor, else NumPy's."""
    if is_tensor(like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype), device="cpu")
    if dtype == "bfloat16":  # NumPy knows it through whoever made `like`
        return np.empty(shape, like.dtype)
    return np.empty(shape, dtype)
