"""Functions of Python become programs: they are called once, on expressions.

A score_mod(score, b, h, q_idx, kv_idx) written for PyTorch's FlexAttention is called as it stands.
NumPy's arrays do not ask what indexes them, so the function is called with views of its NumPy
arrays in their place (closures, globals, defaults, partial arguments, attributes of the object);
the function itself is not changed.
"""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from regard import _core
from regard._context import Trace, tracing
from regard._dispatch import Indexable, torch_mode
from regard._expr import Expr, as_expr
from regard._functions import real

LEAVES = {name: Expr(getattr(_core.Expr, name)())
          for name in ("score", "batch", "head", "query", "key", "row", "sequence", "weight")}
_LIBRARIES = ("numpy", "torch", "regard", "functools")  # whose functions hold nobody's arrays


def trace(function: Callable[..., Any], leaves: tuple[str, ...], what: str,
          context: Trace) -> Expr:
    """What the function gives for these leaves. `what` is its name in messages."""
    called = _Rebinder(context).function(function)
    with tracing(context), torch_mode():
        result = called(*(LEAVES[leaf] for leaf in leaves))
        if result is None:
            raise TypeError(f"{what} returned None, must return a value")
        return as_expr(result)


def trace_score(function: Callable[..., Any], leaves: tuple[str, ...], what: str,
                context: Trace) -> Expr:
    return real(trace(function, leaves, what, context))


def trace_mask(function: Callable[..., Any], leaves: tuple[str, ...], what: str,
               context: Trace) -> Expr:
    result = trace(function, leaves, what, context)
    if result.kind != "boolean":
        raise TypeError(f"{what} gives {result}, which is {result.kind}; a mask is a condition, "
                        "true where the key is allowed")
    return result


def arity(function: Callable[..., Any], choices: dict[int, tuple[str, ...]],
          what: str) -> tuple[str, ...]:
    """The leaves that a function with so many parameters is called with."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return choices[max(choices)]
    positional = [p for p in parameters if p.default is p.empty
                  and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) not in choices:
        wanted = ", or ".join("(" + ", ".join(leaves) + ")" for leaves in choices.values())
        raise TypeError(f"{what} takes {len(positional)} arguments, must take {wanted}")
    return choices[len(positional)]


class _Rebinder:
    """Makes a function over whose NumPy arrays expressions may index, and learns their names."""

    def __init__(self, context: Trace) -> None:
        self._context = context
        self._done: dict[int, Any] = {}

    def function(self, function: Any) -> Any:
        if id(function) in self._done:
            return self._done[id(function)]
        self._done[id(function)] = function  # where functions name each other
        if isinstance(function, functools.partial):
            keywords = {name: self.value(a, name) for name, a in function.keywords.items()}
            result = functools.partial(self.function(function.func),
                                       *(self.value(a) for a in function.args), **keywords)
        elif isinstance(function, types.MethodType):
            result = types.MethodType(self.function(function.__func__),
                                      self.instance(function.__self__))
        elif isinstance(function, types.FunctionType):
            result = self._plain(function)
        elif hasattr(type(function), "__call__") and not isinstance(
                function, (type, types.BuiltinFunctionType)):
            result = self.instance(function)
        else:
            result = function
        self._done[id(function)] = result
        return result

    def value(self, value: Any, name: str | None = None) -> Any:
        """A view where it is an array; where it holds some, one like it that holds views."""
        if name is not None and hasattr(value, "shape"):
            self._context.names.setdefault(id(value), name)
        if (isinstance(value, np.ndarray) and value.ndim > 0
                and not isinstance(value, (Indexable, np.ma.MaskedArray))):
            view = value.view(Indexable)
            self._context.names.setdefault(id(view), name or "array")
            return view
        if type(value) in (list, tuple) and len(value) <= 64:
            parts = [self.value(part, name) for part in value]
            return value if all(a is b for a, b in zip(parts, value)) else type(value)(parts)
        if type(value) is dict and len(value) <= 64:
            parts = {key: self.value(part, str(key)) for key, part in value.items()}
            return value if all(parts[key] is value[key] for key in value) else parts
        if isinstance(value, (types.FunctionType, functools.partial, types.MethodType)):
            return self.function(value)
        return value

    def instance(self, owner: Any) -> Any:
        """The object whose method is traced, its arrays replaced by views in a shallow copy."""
        attributes = getattr(owner, "__dict__", None)
        if not attributes or isinstance(owner, type):
            return owner
        new = {name: self.value(value, name) if isinstance(value, (np.ndarray, list, tuple, dict))
               else value for name, value in attributes.items()}
        if all(new[name] is attributes[name] for name in attributes):
            return owner
        copy = object.__new__(type(owner))
        copy.__dict__.update(new)
        return copy

    def _plain(self, function: types.FunctionType) -> Any:
        module = function.__module__ or ""
        if module.split(".")[0] in _LIBRARIES and not module.startswith("torch.nn.attention"):
            return function
        code, changed = function.__code__, False
        cells = []
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            try:
                content = cell.cell_contents
            except ValueError:  # not bound yet
                cells.append(cell)
                continue
            new = self.value(content, name)
            changed |= new is not content
            cells.append(cell if new is content else types.CellType(new))
        namespace = function.__globals__
        replaced = {}
        for name in _names_in(code):
            if name in namespace:
                new = self.value(namespace[name], name)
                if new is not namespace[name]:
                    replaced[name] = new
        defaults = tuple(self.value(value) for value in function.__defaults__ or ())
        keywords = {k: self.value(v, k) for k, v in (function.__kwdefaults__ or {}).items()}
        changed |= any(a is not b for a, b in zip(defaults, function.__defaults__ or ()))
        changed |= any(v is not function.__kwdefaults__[k] for k, v in keywords.items())
        if not (changed or replaced):
            return function
        if replaced:
            namespace = {**namespace, **replaced}
        copy = types.FunctionType(code, namespace, function.__name__, defaults or None,
                                  tuple(cells) or None)
        copy.__kwdefaults__ = keywords or None
        return copy


def _names_in(code: types.CodeType) -> set[str]:
    """Global names of a function and of the functions inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_in(constant)
    return names
