"""Tensors: arrays that remember what they were computed from, where a gradient is wanted."""

import contextlib
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regard import _core

Tensor = _core.Tensor
no_gradient = _core.no_gradient


def tensor(numbers: Any, gradient: bool = False) -> Tensor:
    """A tensor with a copy of the numbers.

    numbers   float32 or float64, dense or not; integers and lists become float32. One to four axes;
              a single number becomes [1].
    gradient  the tensor is a leaf: backward() adds to its .gradient

    Raises ValueError for other types and for more than four axes.
    """
    array = np.asarray(numbers)
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "iufb":
            raise ValueError(f"tensor: an array of {array.dtype}, must be of numbers")
        array = array.astype(np.float32)
    return _core.tensor(np.ascontiguousarray(np.atleast_1d(array)), gradient)


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """value as a tensor of the dtype of `like`."""
    if isinstance(value, Tensor):
        return value
    return tensor(np.asarray(value, np.float64 if like.dtype == "f64" else np.float32))


def as_ids(ids: ArrayLike) -> list[int]:
    """Ids or indices of any shape, one behind another."""
    return [int(one) for one in np.asarray(ids).reshape(-1)]


def checkpointed(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), whose inner results are not kept but computed again for the gradients.

    function must give the same numbers both times. Source: Chen et al. 2016.
    """
    return _core.checkpointed(function, list(inputs))


def set_threads(threads: int) -> None:
    """How many threads operations on tensors run on; 0 = all cores. No bit depends on it."""
    _core.set_tensor_threads(operator.index(threads))


def _reshape(self: Tensor, *shape: Any) -> Tensor:
    """The same numbers in another shape; one extent may be -1, what is left over."""
    sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape)
    if sizes.count(-1) == 1:
        known = int(np.prod([size for size in sizes if size != -1]))
        if known == 0 or self.size % known:
            raise ValueError(f"reshape: {self.size} numbers do not fill {tuple(sizes)}")
        sizes[sizes.index(-1)] = self.size // known
    return self._reshape(sizes)


@contextlib.contextmanager
def _writable(self: Tensor) -> Iterator[NDArray[Any]]:
    """A leaf's own memory, to be written to while the block lasts: nothing is copied.

    with parameter.writable() as numbers: numbers *= 0.5
    """
    try:
        yield self._writable()
    finally:
        self._wrote()


def _item(self: Tensor) -> float:
    """The number of a tensor of one number."""
    return float(self.numpy().reshape(-1)[0]) if self.size == 1 else _refuse_item(self)


def _refuse_item(self: Tensor) -> float:
    raise ValueError(f"item: {self!r} is not one number")


def _index(self: Tensor, key: Any) -> Tensor:
    """Rows [a:b] of the first axis."""
    if isinstance(key, slice) and key.step in (None, 1):
        first, last, _ = key.indices(self.shape[0])
        return self.rows(first, max(0, last - first))
    raise TypeError(f"Tensor[{key!r}]: only ranges of rows; see regard.ops.gather and columns")


def _as_array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
    array = self.numpy()
    return array if dtype is None and not copy else np.array(array, dtype)


Tensor.reshape = _reshape
Tensor.writable = _writable
Tensor.item = _item
Tensor.__getitem__ = _index
Tensor.__array__ = _as_array
Tensor.__len__ = lambda self: self.shape[0]
