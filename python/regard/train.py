"""Training: AdamW, learning rates, and how positions and tokens are counted. `regard train` runs
whole configurations; this is for loops of one's own.

    optimiser = train.AdamW(model, rate=train.cosine(3e-3, steps=500, warmup=50))
    for step in range(500):
        loss = ops.cross_entropy(model(ids, lengths), targets)
        optimiser.step(loss)
"""

import math
from collections.abc import Callable
from typing import Any

from regard import _core
from regard._tensor import Tensor
from regard.nn._module import Module

Rate = float | Callable[[int], float]


def constant(rate: float, *, warmup: int = 0) -> Callable[[int], float]:
    """rate, after a straight line up to it."""
    return lambda step: rate * min(1.0, (step + 1) / max(1, warmup))


def cosine(rate: float, *, steps: int, warmup: int = 0, floor: float = 0.1) -> Callable[[int], float]:
    """A straight line up to rate, half a cosine down to floor · rate. Loshchilov and Hutter 2017."""
    return _falling(rate, steps, warmup, floor, lambda way: 0.5 * (1 + math.cos(math.pi * way)))


def linear(rate: float, *, steps: int, warmup: int = 0, floor: float = 0.1) -> Callable[[int], float]:
    """A straight line up to rate and one down to floor · rate."""
    return _falling(rate, steps, warmup, floor, lambda way: 1 - way)


def _falling(rate: float, steps: int, warmup: int, floor: float,
             left: Callable[[float], float]) -> Callable[[int], float]:
    """left(way) is what is left above floor after that share of the way."""
    def at(step: int) -> float:
        if step < warmup:
            return rate * (step + 1) / warmup
        way = min(1.0, (step - warmup) / max(1, steps - warmup))
        return rate * (floor + (1 - floor) * left(way))
    return at


def inverse_sqrt(rate: float, *, warmup: int) -> Callable[[int], float]:
    """A straight line up to rate, then rate · sqrt(warmup / step). Vaswani et al. 2017, eq. 3."""
    return lambda step: rate * min((step + 1) / warmup, math.sqrt(warmup / max(step, 1)))


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), gradients clipped by their norm.

    parameters  a Module, or tensors by name; those of two axes or more decay
    rate        a number, or a function of the step, which counts from 0
    clip        of the norm of all gradients together; 0: none
    """

    def __init__(self, parameters: Module | dict[str, Tensor], rate: Rate = 1e-3, *,
                 betas: tuple[float, float] = (0.9, 0.99), epsilon: float = 1e-8,
                 decay: float = 0.0, clip: float = 1.0) -> None:
        leaves = parameters.parameters() if isinstance(parameters, Module) else parameters
        if not leaves:
            raise ValueError("AdamW: there are no parameters")
        self._core = _core.Optimiser([(leaf, decay if len(leaf.shape) > 1 else 0.0)
                                      for leaf in leaves.values()])
        self.rate, self.betas, self.epsilon, self.clip = rate, betas, epsilon, clip
        self.steps = 0
        self.norm = math.nan  # of the last gradients, before they were clipped

    def step(self, loss: Tensor | None = None) -> float:
        """One update by the gradients that are there, which are cleared; with a loss, it goes
        backward first. Gives the loss, or the gradients' norm.

        Raises FloatingPointError, and changes nothing, when the loss is no finite number.
        """
        if loss is not None:
            value = loss.item()
            if not math.isfinite(value):
                self._core.clear_gradients()
                raise FloatingPointError(f"AdamW: the loss is {value} in step {self.steps}; "
                                         "lower the rate")
            loss.backward()
        rate = self.rate(self.steps) if callable(self.rate) else self.rate
        self.norm = self._core.step(rate, *self.betas, self.epsilon, self.clip)
        self._core.clear_gradients()
        self.steps += 1
        return value if loss is not None else self.norm
