"""Arrays at the border: whose memory is borrowed, and of which kind results are."""

import sys
from typing import Any

import numpy as np

from regard import _core


def is_tensor(source: Any) -> bool:
    """Is it a torch tensor? torch is asked only where somebody has imported it already."""
    return isinstance(source, getattr(sys.modules.get("torch"), "Tensor", ()))


def borrow(source: Any, name: str, axes: str, writable: bool = False) -> _core.Array:
    """The memory of source as the library sees it, with a letter of "bthd" for each axis."""
    if is_tensor(source):
        source = plain_tensor(source, name)
    elif isinstance(source, np.ma.MaskedArray):
        raise TypeError(f"attention: {name} is a masked array, whose mask would be ignored; "
                        f"pass {name}.filled(...)")
    return _core.Array(source, name, axes, writable)


def plain_tensor(tensor: Any, name: str) -> Any:
    """The tensor, if its memory holds what it means: numbers on the CPU without a history."""
    torch = sys.modules["torch"]
    if tensor.device.type != "cpu":
        raise TypeError(f"attention: {name} lies on {tensor.device}, must lie on the CPU")
    if tensor.layout != torch.strided:
        raise TypeError(f"attention: {name} has the layout {tensor.layout}, must be dense")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"attention: {name} requires a gradient, and none is recorded here; "
                         f"pass {name}.detach() or call under torch.no_grad()")
    if tensor.is_neg():  # a view that negates when read
        raise TypeError(f"attention: {name} is a negated view; pass {name}.resolve_neg()")
    return tensor.detach()


def empty(shape: tuple[int, ...], like: Any) -> Any:
    """A new float32 array of the same kind as `like`: a torch tensor, else NumPy's."""
    if is_tensor(like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=torch.float32, device="cpu")
    return np.empty(shape, np.float32)
