"""Array: numbers that a program reads where they lie, indexed by expressions.

Float32, int32 and boolean arrays are shared, not copied, and kept alive by every expression that
reads them. Other types are converted once, when they are captured.
"""

import operator
import sys
from typing import Any

import numpy as np

from regard import _arrays, _core
from regard._context import current
from regard._expr import Expr, apply, as_expr, constant

_INT32 = np.iinfo(np.int32)


class Array:
    """A captured array of 1 to 4 axes; regard.array() makes one.

    bias[head(), i, j] is an expression: the element at these indices, one an axis. Indices may come
    one after another, bias[h][i, j], or leave axes open, bias[..., j][h, i]. As in Python a
    negative index counts from the end. Beyond the array, a real element is NaN, and any other makes
    the whole result NaN; no memory outside is ever read.
    """

    __slots__ = ("_core", "_open", "source")

    def __init__(self, core: _core.Captured, source: Any, index: tuple[Any, ...]) -> None:
        self._core = core
        self.source = source  # what was captured
        self._open = index    # an expression for each axis; None where there is none yet

    @property
    def name(self) -> str:
        return self._core.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes that have no index yet."""
        return tuple(n for n, at in zip(self._core.shape, self._open) if at is None)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def differentiable(self) -> bool:
        return self._core.differentiable

    def __repr__(self) -> str:
        return f"<regard array {self.name}, {' x '.join(map(str, self._core.shape))}>"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        parts = list(index) if isinstance(index, tuple) else [index]
        if any(part is Ellipsis for part in parts):
            at = next(n for n, part in enumerate(parts) if part is Ellipsis)
            parts[at:at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        if len(parts) > self.ndim:
            raise TypeError(f"program: {len(parts)} indices for {self.name}, which has {self.ndim} "
                            "axes")
        parts += [slice(None)] * (self.ndim - len(parts))
        filled = iter(parts)
        chosen = tuple(self._index_of(axis, next(filled)) if at is None else at
                       for axis, at in enumerate(self._open))
        if any(at is None for at in chosen):
            return Array(self._core, self.source, chosen)
        return Expr(self._core.gather([at._core for at in chosen]))

    def __call__(self, *index: Any) -> Expr:
        """As in C++: one index an axis, none of them counted from the end."""
        if len(index) != self.ndim:
            raise TypeError(f"program: {len(index)} indices for {self.name}, which has {self.ndim} "
                            "axes")
        cores = [as_expr(at)._core for at in index]
        try:
            return Expr(self._core.gather(cores))
        except ValueError as error:
            raise TypeError(str(error)) from None

    def _as_expr(self) -> Expr:
        left, all_axes = self.ndim, len(self._core.shape)
        raise TypeError(f"program: {self.name} has {all_axes} axes, and {all_axes - left} of them "
                        "have an index; each needs one")

    def _index_of(self, axis: int, part: Any) -> Expr | None:
        if isinstance(part, slice):
            if part != slice(None):
                raise TypeError(f"program: {self.name} is indexed by a slice; slice before "
                                "capturing it")
            return None
        extent = self._core.shape[axis]
        number = constant(part)
        if number is not None and not isinstance(number, bool):
            try:
                at = operator.index(number)
            except TypeError:
                raise TypeError(f"program: {self.name} is indexed by {number!r}") from None
            if not -extent <= at < extent:
                raise ValueError(f"program: index {at} of {self.name} is not within its "
                                 f"{extent} elements along axis {axis}")
            return as_expr(at % extent)
        if not isinstance(part, (Expr, Array)):
            raise TypeError(f"program: {self.name} is indexed by {part!r:.60}")
        at = as_expr(part)
        if at.kind != "integer":
            raise TypeError(f"program: {self.name} is indexed by {at}, which is {at.kind}, not "
                            "integer")
        return self._within(axis, at, extent)

    def _within(self, axis: int, at: Expr, extent: int) -> Expr:
        """The index, counted from the start."""
        low, high = _core.bounds(at._core, current().spans())
        if str(at) in ("batch", "head", "i", "j", "row"):
            if current().sizes is not None and high >= extent:
                raise ValueError(
                    f"program: {self.name} is too short: {extent} elements along axis {axis}, "
                    f"and {at} reaches {int(high)}")
            return at
        return at if low >= 0 else apply("where", at < 0, at + extent, at)


def array(source: Any, name: str = "array", differentiable: bool | None = None) -> Array:
    """Numbers that a program is to read: regard.array(bias)[h, i, j] is an expression.

    source          of 1 to 4 axes, any strides, on the CPU: NumPy, torch, DLPack, buffers, lists.
                    float32, int32 and bool are read where they lie, later changes included; other
                    types are converted to one of these now
    name            what printed formulas and messages call it
    differentiable  attention_backward() can give its gradient; real numbers only. By default where
                    it is a torch tensor that requires one

    Within functions that regard traces, torch tensors and NumPy arrays need no array().

    Raises TypeError for what holds no numbers, ValueError for integers beyond 32 bits and ranks
    beyond 4.
    """
    if isinstance(source, Array):
        return source
    if not isinstance(name, str):
        raise TypeError(f"array: name is {name!r}, must be a string")
    if differentiable is None:
        differentiable = bool(getattr(source, "requires_grad", False))
    core = _core.Captured(_readable(source, name), name, bool(differentiable))
    return Array(core, source, (None,) * len(core.shape))


def capture(source: Any, known_as: Any = None) -> Array:
    """The array that a traced function reads: the same one for the same memory in one trace."""
    if isinstance(source, Array):
        return source
    trace = current()
    if _arrays.is_tensor(source):
        key: Any = (source.data_ptr(), source.shape, source.stride(), source.dtype)
    elif isinstance(source, np.ndarray):
        key = (source.ctypes.data, source.shape, source.strides, source.dtype)
    else:
        key = id(source)
    if key not in trace.arrays:
        name = trace.names.get(id(source if known_as is None else known_as),
                               f"array{len(trace.arrays)}")
        trace.arrays[key] = array(source, name)
    return trace.arrays[key]


def _readable(source: Any, name: str) -> Any:
    """The numbers as float32, int32 or bool: the same memory where it is one of these."""
    if _arrays.is_tensor(source):
        return _readable_tensor(source, name)
    if isinstance(source, (list, tuple, int, float)):
        source = np.asarray(source)
    if isinstance(source, np.ma.MaskedArray):
        raise TypeError(f"array: {name} is a masked array, whose mask would be ignored; pass "
                        f"{name}.filled(...)")
    if not isinstance(source, (np.ndarray, np.generic)):
        return source
    source = np.asarray(source)
    if source.dtype in (np.float32, np.int32, np.bool_) and source.dtype.isnative:
        return source
    if source.dtype.kind in "iu":
        if source.size and (source.min() < _INT32.min or source.max() > _INT32.max):
            raise ValueError(f"array: {name} holds integers beyond 32 bits")
        return source.astype(np.int32)
    if source.dtype.kind == "f" or _arrays.is_bfloat16(source):
        return source.astype(np.float32)
    raise TypeError(f"array: {name} is {source.dtype}, must be real, integer or boolean")


def _readable_tensor(source: Any, name: str) -> Any:
    torch = sys.modules["torch"]
    if source.device.type != "cpu" or source.layout != torch.strided:
        raise TypeError(f"array: {name} is a {source.layout} tensor on {source.device}, must be "
                        "dense and on the CPU")
    source = source.detach().resolve_neg()
    if source.dtype in (torch.float32, torch.int32, torch.bool):
        return source
    if source.is_floating_point():
        return source.to(torch.float32)
    if source.is_complex():
        raise TypeError(f"array: {name} is {source.dtype}, must be real, integer or boolean")
    if source.numel() and (source.min() < _INT32.min or source.max() > _INT32.max):
        raise ValueError(f"array: {name} holds integers beyond 32 bits")
    return source.to(torch.int32)
