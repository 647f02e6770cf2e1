"""Operations on tensors, by their names in C++: values in, a value out, gradients recorded where an
input wants one. docs/training.md has the table of formulas and gradients."""

from regard._core import ops as _ops

globals().update({name: getattr(_ops, name) for name in dir(_ops) if not name.startswith("_")})
__all__ = [name for name in dir(_ops) if not name.startswith("_")]
