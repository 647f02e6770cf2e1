"""Module: parameters by name, whatever holds them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard._tensor import Tensor


class Module:
    """What layers are: attributes that are leaves of the tape are parameters, other modules (also
    in lists) are parts, and a call is the formula.

    class Scaled(nn.Module):
        def __init__(self, width):
            self.gain = nn.parameter(np.ones(width))
        def __call__(self, x):
            return x * self.gain
    """

    training: bool = True

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def _parts(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if isinstance(value, (list, tuple)):
                for index, one in enumerate(value):
                    yield f"{name}.{index}", one
            else:
                yield name, value

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it."""
        yield self
        for _, part in self._parts():
            if isinstance(part, Module):
                yield from part.modules()

    def parameters(self) -> dict[str, Tensor]:
        """Every leaf by its dotted name, in the order in which attributes were set; a tensor that
        two modules share counts once, under its first name."""
        found: dict[str, Tensor] = {}
        seen: set[int] = set()
        self._collect("", found, seen)
        return found

    def _collect(self, prefix: str, found: dict[str, Tensor], seen: set[int]) -> None:
        for name, part in self._parts():
            if isinstance(part, Tensor) and part.is_leaf:
                if part.identity not in seen:
                    seen.add(part.identity)
                    found[prefix + name] = part
            elif isinstance(part, Module):
                part._collect(f"{prefix}{name}.", found, seen)

    def parameter_count(self) -> int:
        """How many numbers training changes."""
        return sum(leaf.size for leaf in self.parameters().values())

    def train(self, training: bool = True) -> "Module":
        """Dropout and batch statistics on, or off."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self) -> "Module":
        """Dropout and batch statistics off."""
        return self.train(False)

    def clear_gradients(self) -> None:
        """Every gradient becomes none, which is zero."""
        for leaf in self.parameters().values():
            leaf.gradient = None

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of every parameter by name."""
        return {name: np.array(leaf.numpy()) for name, leaf in self.parameters().items()}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Takes what state() gave. Raises ValueError naming what is missing, left over or of another
        shape; nothing has changed then."""
        own = self.parameters()
        if own.keys() != state.keys():
            missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
            raise ValueError(f"load_state: missing {missing}, unknown {extra}")
        for name, leaf in own.items():
            if np.shape(state[name]) != leaf.shape:
                raise ValueError(f"load_state: {name} is {np.shape(state[name])}, must be "
                                 f"{leaf.shape}")
        for name, leaf in own.items():
            like = np.float64 if leaf.dtype == "f64" else np.float32
            leaf.assign(np.ascontiguousarray(state[name], like))


class Compiled(Module):
    """A module whose layers are C++'s: compiled.parameters has (name, leaf, does it decay)."""

    _compiled: Any

    def _collect(self, prefix: str, found: dict[str, Tensor], seen: set[int]) -> None:
        for name, leaf, _ in self._compiled.parameters:
            if leaf.identity not in seen:
                seen.add(leaf.identity)
                found[prefix + name] = leaf
