"""Expr: a value of a program, written down with Python's operators and not computed yet.

How other libraries' functions reach an Expr stands in _dispatch.py; what they mean in
_functions.py. An expression is immutable, and shares its parts.
"""

import numbers
import sys
from typing import Any, NoReturn

import numpy as np

from regard import _core

_REFUSED = {
    "bool": "if, and, or, not and chained comparisons need a value now, but {} stands for many: "
            "use where(condition, yes, no), &, | and ~",
    "number": "{} stands for many values, so it is no Python number: use functions of "
              "regard.program, torch or numpy, not of math",
    "index": "{} stands for many values, so it cannot index a list or tuple: use "
             "regard.array(numbers)[...]",
    "iteration": "{} is one value for each query and key: it has no length and no elements",
    "array": "{} stands for many values, so it is no NumPy array and indexes none: use "
             "regard.array(numbers)[...], which indexes the same memory",
}


class Expr:
    """A value for each score, an expression over the score s and batch, head, i, j, row.

    Made by regard.program's leaves (score(), query(), key(), ...) and Python's operators, with
    Python's meaning: // rounds down, % has the divisor's sign; & | ^ ~ are logical for conditions
    and bit by bit for integers. Values are real (f32 in kernels), integer (int32) or boolean;
    mixing promotes boolean to integer to real. str() gives the formula.

    torch's and NumPy's functions take it too: torch.tanh(s), np.where(i < j, s, 0), s.clamp(min=0).

    Raises TypeError where a value is needed now (if s > 0:), or kinds do not fit.
    Source: PyTorch's FlexAttention (Dong et al. 2024) traces functions in the same way.
    """

    __slots__ = ("_core",)

    def __init__(self, core: _core.Expr) -> None:
        self._core = core

    @property
    def kind(self) -> str:
        """real, integer or boolean."""
        return self._core.kind

    def __str__(self) -> str:
        return str(self._core)

    def __repr__(self) -> str:
        return f"<regard expression {self._core}>"

    # Shape and type as an array library's user may ask for them: one number on the CPU.
    shape: tuple[int, ...] = ()
    ndim = 0
    requires_grad = False

    @property
    def dtype(self) -> Any:
        """torch's name of the kind where torch is imported, NumPy's where not."""
        library = sys.modules.get("torch", np)
        return {"real": library.float32, "integer": library.int32,
                "boolean": getattr(library, "bool")}[self.kind]

    @property
    def device(self) -> Any:
        torch = sys.modules.get("torch")
        return "cpu" if torch is None else torch.device("cpu")

    def __bool__(self) -> NoReturn:
        self._refuse("bool")

    def __float__(self) -> NoReturn:
        self._refuse("number")

    def __int__(self) -> NoReturn:
        self._refuse("number")

    def __index__(self) -> NoReturn:
        self._refuse("index")

    def __len__(self) -> NoReturn:
        self._refuse("iteration")

    def __iter__(self) -> NoReturn:
        self._refuse("iteration")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._refuse("array")

    def _refuse(self, what: str) -> NoReturn:
        text = str(self)
        raise TypeError("program: " + _REFUSED[what].format(text if len(text) < 60 else "a value"))

    __hash__ = object.__hash__  # == makes a condition

    def __neg__(self) -> "Expr":
        return apply("neg", self)

    def __pos__(self) -> "Expr":
        return self

    def __invert__(self) -> "Expr":
        return apply("invert", self)

    def __abs__(self) -> "Expr":
        return apply("abs", self)


def apply(operation: str, *operands: Any) -> Expr:
    """The operation of the library, on expressions or what stands for one."""
    cores = [as_expr(operand)._core for operand in operands]
    try:
        return Expr(getattr(_core.Expr, operation)(*cores))
    except ValueError as error:  # of kinds that do not fit
        raise TypeError(str(error)) from None


def as_expr(value: Any) -> Expr:
    """The expression that a number, or an array of one number without axes, stands for."""
    result = _expr_or_none(value)
    if result is None:
        raise TypeError(f"program: {_describe(value)} is no value of a program")
    return result


def _expr_or_none(value: Any) -> Expr | None:
    if isinstance(value, Expr):
        return value
    number = constant(value)
    if number is None:
        convert = getattr(value, "_as_expr", None)  # a captured array
        if convert is not None:
            return convert()
        if not is_scalar_tensor(value):
            return None
        from regard import _captured  # noqa: PLC0415 (it builds on this module)
        return _captured.capture(value.reshape(1))[0]  # it asks for a gradient
    if isinstance(number, bool):
        return Expr(_core.Expr.boolean(number))
    if isinstance(number, int):
        if not -2**31 <= number < 2**31:
            raise ValueError(f"program: the constant {number} does not fit 32 bits; write it as a "
                             "float")
        return Expr(_core.Expr.integer(number))
    return Expr(_core.Expr.real(number))


def constant(value: Any) -> bool | int | float | None:
    """The Python number that value is, if it is one known now."""
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        value = value.item()
    elif is_scalar_tensor(value) and not value.requires_grad:
        value = value.item()
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else None


def is_scalar_tensor(value: Any) -> bool:
    """A torch tensor without axes."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor) and value.ndim == 0


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None or isinstance(value, Expr):
        return f"{value!r:.60}"
    sizes = " x ".join(map(str, shape))
    return f"an array of {sizes} whole numbers, not one of them (index it, as in bias[i, j]), which"


def _infix(name: str, operation: str) -> None:
    def forward(self: Expr, other: Any) -> Any:
        other = _operand(other)
        return NotImplemented if other is NotImplemented else apply(operation, self, other)

    def backward(self: Expr, other: Any) -> Any:
        other = _operand(other)
        return NotImplemented if other is NotImplemented else apply(operation, other, self)

    setattr(Expr, f"__{name}__", forward)
    if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Expr, f"__r{name}__", backward)


def _operand(value: Any) -> Any:
    if isinstance(value, (Expr, bool, int, float)):
        return value
    result = _expr_or_none(value)
    if result is None:
        if getattr(value, "shape", None) is not None:  # a whole array: say how to go on
            return as_expr(value)
        return NotImplemented
    return result


for _name, _operation in {
        "add": "add", "sub": "sub", "mul": "mul", "truediv": "truediv", "floordiv": "floordiv",
        "mod": "mod", "and": "and_", "or": "or_", "xor": "xor", "lshift": "lshift",
        "rshift": "rshift", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq",
        "ne": "ne"}.items():
    _infix(_name, _operation)
