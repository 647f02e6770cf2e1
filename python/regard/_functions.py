"""What functions of torch and NumPy mean on expressions, by the name that they have there.

One table serves both libraries' functions and torch's methods: torch.clamp(s, min=0), np.clip and
s.clamp(min=0) are clamp. A name that is missing is refused when it is met.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from regard._expr import Expr, apply, as_expr, constant

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _names(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FUNCTIONS[name] = function
        return function
    return enter


def real(value: Any) -> Expr:
    """As real: torch and NumPy promote integers where a function is real."""
    value = as_expr(value)
    return value if value.kind == "real" else apply("to_real", value)


def truth(value: Any) -> Expr:
    """Not zero."""
    value = as_expr(value)
    return value if value.kind == "boolean" else value != 0


def _refuse(why: str) -> NoReturn:
    raise TypeError(f"program: {why}")


# ---- arithmetic ----

def _binary(operation: str) -> Callable[..., Expr]:
    return lambda a, b: apply(operation, a, b)


for _operation, _aliases in {
        "mul": "mul multiply", "floordiv": "floor_divide floordiv", "mod": "remainder mod",
        "minimum": "minimum fmin", "maximum": "maximum fmax", "lt": "lt less",
        "le": "le less_equal", "gt": "gt greater", "ge": "ge greater_equal", "eq": "eq equal",
        "ne": "ne not_equal", "and_": "bitwise_and and", "or_": "bitwise_or or",
        "xor": "bitwise_xor xor", "lshift": "bitwise_left_shift left_shift lshift",
        "rshift": "bitwise_right_shift right_shift rshift"}.items():
    _names(*_aliases.split())(_binary(_operation))


@_names("add")
def _add(a: Any, b: Any, *, alpha: Any = 1) -> Expr:
    return apply("add", a, b if constant(alpha) == 1 else apply("mul", b, alpha))


@_names("sub", "subtract")
def _sub(a: Any, b: Any, *, alpha: Any = 1) -> Expr:
    return apply("sub", a, b if constant(alpha) == 1 else apply("mul", b, alpha))


@_names("rsub")
def _rsub(a: Any, b: Any, *, alpha: Any = 1) -> Expr:
    return _sub(b, a, alpha=alpha)


@_names("div", "divide", "true_divide", "truediv")
def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Expr:
    if rounding_mode is None:
        return apply("truediv", a, b)
    if rounding_mode == "floor":
        return apply("floordiv", a, b)
    a, b = as_expr(a), as_expr(b)
    quotient = _trunc(apply("truediv", a, b))
    if a.kind == b.kind == "real":
        return quotient
    down = a // b  # rounds down; upwards where the exact quotient is negative and not whole
    return where((down < 0) & (down * b != a), down + 1, down)


@_names("fmod")
def _fmod(a: Any, b: Any) -> Expr:
    return as_expr(a) - _div(a, b, rounding_mode="trunc") * b


for _operation, _aliases in {"neg": "neg negative", "invert": "bitwise_not invert",
                             "abs": "abs absolute fabs", "floor": "floor"}.items():
    _names(*_aliases.split())(lambda a, _operation=_operation: apply(_operation, a))


@_names("pos", "positive", "clone", "contiguous", "detach", "conj", "copy")
def _same(a: Any, **_: Any) -> Expr:
    return as_expr(a)


@_names("square")
def _square(a: Any) -> Expr:
    return as_expr(a) * a


@_names("reciprocal")
def _reciprocal(a: Any) -> Expr:
    return 1.0 / as_expr(a)


@_names("pow", "power", "float_power")
def power(a: Any, b: Any) -> Expr:
    exponent, base = constant(b), constant(a)
    if exponent is not None and float(exponent).is_integer() and abs(exponent) <= 64:
        result, square, left = as_expr(1), as_expr(a), abs(int(exponent))
        while left:
            result = result * square if left & 1 else result
            left >>= 1
            square = square * square if left else square
        if isinstance(exponent, float):
            result = real(result)
        return result if exponent >= 0 else 1.0 / result
    if exponent is not None:
        return sqrt(a) if exponent == 0.5 else exp(b * log(a))
    if base is not None and base > 0:
        return exp(real(b) * math.log(base))
    return _refuse("a power of two traced values needs a constant exponent or a constant positive "
                   "base")


# ---- functions of one value ----

def _real_unary(operation: str) -> Callable[[Any], Expr]:
    return lambda a: apply(operation, real(a))


tanh, exp, log, sigmoid, sqrt, sin, cos = (
    _names(name)(_real_unary(name))
    for name in ("tanh", "exp", "log", "sigmoid", "sqrt", "sin", "cos"))
_names("expit")(sigmoid)


@_names("exp2")
def _exp2(a: Any) -> Expr:
    return exp(real(a) * math.log(2))


@_names("expm1")
def _expm1(a: Any) -> Expr:
    return exp(a) - 1.0


@_names("log2")
def _log2(a: Any) -> Expr:
    return log(a) * (1 / math.log(2))


@_names("log10")
def _log10(a: Any) -> Expr:
    return log(a) * (1 / math.log(10))


@_names("log1p")
def _log1p(a: Any) -> Expr:
    return log(1.0 + as_expr(a))


@_names("rsqrt")
def _rsqrt(a: Any) -> Expr:
    return 1.0 / sqrt(a)


@_names("tan")
def _tan(a: Any) -> Expr:
    return sin(a) / cos(a)


@_names("sinh")
def _sinh(a: Any) -> Expr:
    return (exp(a) - exp(-as_expr(a))) * 0.5


@_names("cosh")
def _cosh(a: Any) -> Expr:
    return (exp(a) + exp(-as_expr(a))) * 0.5


@_names("ceil")
def _ceil(a: Any) -> Expr:
    return -apply("floor", -as_expr(a))


@_names("trunc", "fix")
def _trunc(a: Any) -> Expr:
    a = as_expr(a)
    return where(a < 0, _ceil(a), apply("floor", a))


@_names("frac")
def _frac(a: Any) -> Expr:
    return as_expr(a) - _trunc(a)


@_names("round", "rint", "around")
def _round(a: Any, decimals: int = 0) -> Expr:
    """To the nearest whole number, of two the even one."""
    a = as_expr(a)
    if decimals != 0:
        _refuse("round() to decimals is not offered")
    if a.kind != "real":
        return a
    up = apply("floor", a + 0.5)
    return where((up - a == 0.5) & (up % 2.0 == 1.0), up - 1.0, up)


@_names("sign", "sgn")
def _sign(a: Any) -> Expr:
    a = as_expr(a)
    zero = a - a  # of a's kind, and NaN for NaN
    return where(a > 0, zero + 1, where(a < 0, zero - 1, zero))


@_names("isnan")
def _isnan(a: Any) -> Expr:
    return as_expr(a) != a


@_names("isinf")
def _isinf(a: Any) -> Expr:
    return abs(as_expr(a)) == math.inf


@_names("isfinite")
def _isfinite(a: Any) -> Expr:
    return abs(as_expr(a)) < math.inf


# ---- activations ----

@_names("relu")
def _relu(a: Any, inplace: bool = False) -> Expr:
    return apply("maximum", a, 0)


@_names("leaky_relu")
def _leaky_relu(a: Any, negative_slope: float = 0.01, inplace: bool = False) -> Expr:
    a = as_expr(a)
    return where(a > 0, a, a * float(negative_slope))


@_names("elu")
def _elu(a: Any, alpha: float = 1.0, inplace: bool = False) -> Expr:
    a = as_expr(a)
    return where(a > 0, a, (exp(a) - 1.0) * alpha)


@_names("silu")
def _silu(a: Any, inplace: bool = False) -> Expr:
    return as_expr(a) * sigmoid(a)


@_names("softplus")
def _softplus(a: Any, beta: float = 1.0, threshold: float = 20.0) -> Expr:
    a = as_expr(a)
    return where(a * beta > threshold, a, _log1p(exp(a * beta)) / beta)


@_names("logsigmoid", "log_sigmoid")
def _logsigmoid(a: Any) -> Expr:
    return -_softplus(-as_expr(a))


@_names("gelu")
def _gelu(a: Any, approximate: str = "none") -> Expr:
    if approximate != "tanh":
        _refuse("gelu() is offered with approximate='tanh'")
    a = as_expr(a)
    inner = math.sqrt(2 / math.pi) * (a + 0.044715 * (a * a * a))
    return 0.5 * a * (1.0 + tanh(inner))


@_names("logaddexp")
def _logaddexp(a: Any, b: Any) -> Expr:
    most = apply("maximum", a, b)
    return most + log(exp(as_expr(a) - most) + exp(as_expr(b) - most))


# ---- choices and conditions ----

@_names("where")
def where(condition: Any, yes: Any, no: Any) -> Expr:
    return apply("where", truth(condition), yes, no)


@_names("where_method")
def _where_method(yes: Any, condition: Any, no: Any) -> Expr:
    return where(condition, yes, no)


@_names("masked_fill")
def _masked_fill(a: Any, mask: Any, value: Any) -> Expr:
    return where(mask, value, a)


@_names("clamp", "clip", "hardtanh")
def clamp(a: Any, min: Any = None, max: Any = None, **limits: Any) -> Expr:  # noqa: A002
    low, high = (limits.pop(name, limits.pop(other, given)) for name, other, given in
                 (("a_min", "min_val", min), ("a_max", "max_val", max)))
    limits.pop("inplace", None)
    if limits:
        _refuse(f"clamp() takes no {next(iter(limits))}")
    result = as_expr(a)
    result = result if low is None else apply("maximum", result, low)
    return result if high is None else apply("minimum", result, high)


@_names("clamp_min")
def _clamp_min(a: Any, low: Any) -> Expr:
    return apply("maximum", a, low)


@_names("clamp_max")
def _clamp_max(a: Any, high: Any) -> Expr:
    return apply("minimum", a, high)


@_names("min")
def _min(a: Any, *other: Any) -> Expr:
    return apply("minimum", a, *other) if other else _refuse("min() needs two values here")


@_names("max")
def _max(a: Any, *other: Any) -> Expr:
    return apply("maximum", a, *other) if other else _refuse("max() needs two values here")


@_names("logical_and")
def _logical_and(a: Any, b: Any) -> Expr:
    return truth(a) & truth(b)


@_names("logical_or")
def _logical_or(a: Any, b: Any) -> Expr:
    return truth(a) | truth(b)


@_names("logical_xor")
def _logical_xor(a: Any, b: Any) -> Expr:
    return truth(a) ^ truth(b)


@_names("logical_not")
def _logical_not(a: Any) -> Expr:
    return ~truth(a)


# ---- kinds ----

def cast(a: Any, dtype: Any) -> Expr:
    """As a dtype of torch, NumPy or Python. Reals stay f32, whatever their dtype's width."""
    a, kind = as_expr(a), kind_of(dtype)
    if kind == "real":
        return real(a)
    if kind == "boolean":
        return truth(a)
    if a.kind == "real":
        _refuse(f"{a} is real, and a real value becomes no integer")
    return a if a.kind == "integer" else apply("to_integer", a)


def kind_of(dtype: Any) -> str:
    name = str(dtype)
    if not name.startswith("torch."):
        name = np.dtype(dtype).name  # of float, "f4", np.int64
    if "float" in name:
        return "real"
    if "bool" in name:
        return "boolean"
    if "int" in name:
        return "integer"
    return _refuse(f"{dtype} is no type of real, integer or boolean values")


def _is_dtype(value: Any) -> bool:
    return (type(value).__name__ == "dtype" or isinstance(value, np.dtype)
            or (isinstance(value, type) and issubclass(value, (bool, int, float, np.generic))))


@_names("to", "type", "astype")
def _to(a: Any, *where_to: Any, dtype: Any = None, **_: Any) -> Expr:
    """Like tensor.to(): a dtype, a device (there is one), or another value, in any order."""
    for given in where_to:
        if _is_dtype(given):
            dtype = given
        elif isinstance(given, Expr):
            dtype = given.dtype
    return as_expr(a) if dtype is None else cast(a, dtype)


@_names("type_as")
def _type_as(a: Any, other: Any) -> Expr:
    return cast(a, other.dtype)


for _method, _kind in {"float": float, "double": float, "half": float, "bfloat16": float,
                       "int": int, "long": int, "short": int, "bool": bool}.items():
    _names(_method)(lambda a, _kind=_kind: cast(a, _kind))


@_names("cpu")
def _cpu(a: Any) -> Expr:
    return as_expr(a)


@_names("is_floating_point")
def _is_floating_point(a: Any) -> bool:
    return as_expr(a).kind == "real"


@_names("dim")
def _dim(a: Any) -> int:
    return 0


@_names("size")
def _size(a: Any) -> tuple[int, ...]:
    return ()


# ---- constants shaped like a value: one number ----

def _filled(like: Any, value: Any, dtype: Any) -> Expr:
    value = as_expr(value)
    return cast(value, as_expr(like).dtype if dtype is None else dtype)


def _one_number(shape: Any) -> None:
    if tuple(np.ravel(shape)) != ():
        _refuse(f"a new array of shape {tuple(np.ravel(shape))} is no value of a program")


@_names("zeros_like")
def _zeros_like(a: Any, *, dtype: Any = None, **_: Any) -> Expr:
    return _filled(a, 0, dtype)


@_names("ones_like")
def _ones_like(a: Any, *, dtype: Any = None, **_: Any) -> Expr:
    return _filled(a, 1, dtype)


@_names("full_like")
def _full_like(a: Any, fill_value: Any, *, dtype: Any = None, **_: Any) -> Expr:
    return _filled(a, fill_value, dtype)


@_names("new_zeros")
def _new_zeros(a: Any, size: Any, *, dtype: Any = None, **_: Any) -> Expr:
    _one_number(size)
    return _filled(a, 0, dtype)


@_names("new_ones")
def _new_ones(a: Any, size: Any, *, dtype: Any = None, **_: Any) -> Expr:
    _one_number(size)
    return _filled(a, 1, dtype)


@_names("new_full")
def _new_full(a: Any, size: Any, fill_value: Any, *, dtype: Any = None, **_: Any) -> Expr:
    _one_number(size)
    return _filled(a, fill_value, dtype)


@_names("new_tensor")
def _new_tensor(a: Any, data: Any, *, dtype: Any = None, **_: Any) -> Expr:
    return _filled(a, data, dtype)
