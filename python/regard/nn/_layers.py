"""Layers as formulas of operations: linear, embedding, norms, dropout, MLP."""

from typing import Any

import numpy as np

from regard import ops
from regard._tensor import Tensor, tensor
from regard.nn._module import Module


def parameter(numbers: Any) -> Tensor:
    """A leaf of the tape with a copy of the numbers."""
    return tensor(numbers, gradient=True)


def generator(rng: Any) -> np.random.Generator:
    """A generator itself, or that of a seed."""
    return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)


def normal(rng: Any, *shape: int, deviation: float) -> Tensor:
    """A leaf of normal numbers around 0."""
    return parameter((generator(rng).standard_normal(shape) * deviation).astype(np.float32))


def rows_of(x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """x [..., width] as [rows, width], and the shape in front."""
    return (x, x.shape[:-1]) if len(x.shape) == 2 else (x.reshape(-1, x.shape[-1]), x.shape[:-1])


class Linear(Module):
    """y = x Wᵀ + b for x [..., inputs]; weight [outputs, inputs], bias [outputs].

    Initial weights are normal with deviation 1/sqrt(inputs) (LeCun et al. 1998), or `deviation`.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, rng: Any = 0,
                 deviation: float | None = None) -> None:
        self.weight = normal(rng, outputs, inputs,
                             deviation=inputs ** -0.5 if deviation is None else deviation)
        self.bias = parameter(np.zeros(outputs, np.float32)) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        flat, front = rows_of(x)
        y = ops.linear(flat, self.weight, self.bias)
        return y if len(front) == 1 else y.reshape(*front, y.shape[-1])


class Embedding(Module):
    """Rows of table [count, width] by id: ids of any shape -> [..., width]."""

    def __init__(self, count: int, width: int, *, rng: Any = 0, deviation: float = 0.02) -> None:
        self.table = normal(rng, count, width, deviation=deviation)

    def __call__(self, ids: Any) -> Tensor:
        ids = np.asarray(ids, np.int32)
        x = ops.embedding(self.table, ids.reshape(-1))
        return x if ids.ndim == 1 else x.reshape(*ids.shape, x.shape[-1])


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + epsilon) · gain + shift over the last axis. Ba et al. 2016, eq. 4."""

    def __init__(self, width: int, *, shift: bool = True, epsilon: float = 1e-5) -> None:
        self.gain = parameter(np.ones(width, np.float32))
        self.shift = parameter(np.zeros(width, np.float32)) if shift else None
        self.epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        flat, front = rows_of(x)
        return ops.layer_norm(flat, self.gain, self.shift, self.epsilon).reshape(*front, x.shape[-1])


class RMSNorm(Module):
    """x / sqrt(mean(x²) + epsilon) · gain over the last axis. Zhang and Sennrich 2019, eq. 4."""

    def __init__(self, width: int, *, epsilon: float = 1e-5) -> None:
        self.gain = parameter(np.ones(width, np.float32))
        self.epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        flat, front = rows_of(x)
        return ops.rms_norm(flat, self.gain, self.epsilon).reshape(*front, x.shape[-1])


class BatchNorm(Module):
    """Every feature normalised over all rows of the batch, gain and shift behind; in evaluation by
    running means. Ioffe and Szegedy 2015. A row's result depends on the others, padding included."""

    def __init__(self, width: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        self.gain = parameter(np.ones(width, np.float32))
        self.shift = parameter(np.zeros(width, np.float32))
        self.epsilon = epsilon
        self.running = ops.RunningStatistics(width, momentum)

    def __call__(self, x: Tensor) -> Tensor:
        flat, front = rows_of(x)
        return ops.batch_norm(flat, self.gain, self.shift, self.running, self.epsilon,
                              self.training).reshape(*front, x.shape[-1])


class Dropout(Module):
    """Each number is 0 with probability rate and 1/(1 - rate) times itself else, while training.

    What is dropped depends on (seed, how often it was called, the number's place) alone.
    Srivastava et al. 2014.
    """

    def __init__(self, rate: float, *, seed: int = 0) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate ({rate}) is not in [0, 1)")
        self.rate, self.seed, self.calls = rate, seed, 0

    def __call__(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        self.calls += 1
        return ops.dropout(x, self.rate, self.seed, self.calls)


class Mlp(Module):
    """down(f(up(x))), or gated, down(f(gate(x)) · up(x)). Shazeer 2020, eq. 2 and 5."""

    def __init__(self, width: int, inner: int, *, activation: str = "gelu", gated: bool = False,
                 bias: bool = True, rng: Any = 0) -> None:
        rng = generator(rng)
        self.activation = activation
        self.gate = Linear(width, inner, bias=bias, rng=rng) if gated else None
        self.up = Linear(width, inner, bias=bias, rng=rng)
        self.down = Linear(inner, width, bias=bias, rng=rng)

    def __call__(self, x: Tensor) -> Tensor:
        if self.gate is None:
            return self.down(ops.activate(self.activation, self.up(x)))
        return self.down(ops.activate_gated(self.activation, self.gate(x), self.up(x)))
