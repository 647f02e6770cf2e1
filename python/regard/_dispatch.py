"""How functions and methods of torch and NumPy reach an expression, and arrays meet its indices.

torch asks __torch_function__ of every argument; an index of a plain tensor it does not ask, so a
traced function runs within a TorchFunctionMode, which sees every call. NumPy asks __array_ufunc__
and __array_function__, and never its indices: a traced function is given views of its NumPy arrays
(see _trace.py) that look at them first.
"""

import contextlib
import sys
from typing import Any, NoReturn

import numpy as np

from regard import _captured
from regard._expr import Expr
from regard._functions import FUNCTIONS, power

_REVERSED = {f"__r{name}__": name for name in (
    "add", "sub", "mul", "truediv", "div", "floordiv", "mod", "pow", "and", "or", "xor", "lshift",
    "rshift", "matmul")}


def _unknown(library: str, name: str) -> NoReturn:
    call = name if name.endswith(")") else f"{name}()"
    raise TypeError(f"program: {library}'s {call} is not one of the functions that can be traced "
                    "(docs/python.md lists them)")


def _in_place(name: str) -> NoReturn:
    raise TypeError(f"program: {name}() changes a value in place; write {name.strip('_')}()")


def _call(library: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    function = FUNCTIONS.get(name)
    if function is None or kwargs.get("out") is not None:
        _unknown(library, name if function is None else f"{name}(out=...)")
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        if str(error).startswith(("program:", "array:")):
            raise
        raise TypeError(f"program: {library}'s {name}() is traced with other arguments: "
                        f"{error}") from None


# ---- methods ----

def _method(self: Expr, name: str) -> Any:
    """x.clamp(...) and the like: what torch's tensors and NumPy's arrays have as methods."""
    if name.endswith("_") and name[:-1] in FUNCTIONS:
        _in_place(name)
    if name.startswith("__") or name not in FUNCTIONS:
        raise AttributeError(f"program: a traced value has no '{name}' (docs/python.md lists what "
                             "it has)")
    meant = "where_method" if name == "where" else name
    return lambda *args, **kwargs: _call("a value", meant, (self, *args), kwargs)


# ---- NumPy ----

def _array_ufunc(self: Expr, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method != "__call__" or kwargs:
        _unknown("numpy", f"{ufunc.__name__}.{method}" if method != "__call__" else
                 f"{ufunc.__name__}({next(iter(kwargs))}=...)")
    return _call("numpy", ufunc.__name__, inputs, {})


def _array_function(self: Expr, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return _call("numpy", function.__name__, args, kwargs)


class Indexable(np.ndarray):
    """A view of a NumPy array that expressions may index."""

    def __getitem__(self, index: Any) -> Any:
        if holds_expr(index):
            return _captured.capture(self.view(np.ndarray), known_as=self)[index]
        return super().__getitem__(index)


def holds_expr(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, (Expr, _captured.Array)) for part in parts)


# ---- torch ----

def _torch_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    torch = sys.modules["torch"]
    name = getattr(function, "__name__", str(function)).removeprefix("special_")
    if name == "__getitem__":
        return _captured.capture(args[0])[args[1]]
    if function is torch.Tensor.where:
        return _call("torch", "where_method", args, kwargs)
    if name in _REVERSED:
        return _call("torch", _REVERSED[name], args[::-1], kwargs)
    if name.startswith("__"):
        name = name.strip("_")
    elif name.endswith("_"):
        _in_place(name)
    if "input" in kwargs:  # torch.tanh(input=x)
        args, kwargs = (kwargs["input"], *args), {k: v for k, v in kwargs.items() if k != "input"}
    if "other" in kwargs:
        args, kwargs = (*args, kwargs["other"]), {k: v for k, v in kwargs.items() if k != "other"}
    return _call("torch", name, args, kwargs)


def _torch_protocol(cls: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    return _torch_function(function, args, kwargs or {})


_mode: Any = None


def torch_mode() -> Any:
    """Within it torch's functions, and indices of its tensors, take expressions."""
    global _mode
    if "torch" not in sys.modules:
        return contextlib.nullcontext()
    if _mode is None:
        from torch.overrides import TorchFunctionMode

        class Mode(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                kwargs = kwargs or {}
                if getattr(function, "__name__", "") == "__getitem__":
                    traced = holds_expr(args[1])
                else:
                    traced = holds_expr(args) or holds_expr(tuple(kwargs.values()))
                if traced:
                    return _torch_function(function, args, kwargs)
                return function(*args, **kwargs)

        _mode = Mode
    return _mode()


for _member, _value in {"__getattr__": _method, "__pow__": lambda a, b: power(a, b),
                        "__rpow__": lambda a, b: power(b, a), "__array_ufunc__": _array_ufunc,
                        "__array_function__": _array_function,
                        "__torch_function__": classmethod(_torch_protocol)}.items():
    setattr(Expr, _member, _value)
