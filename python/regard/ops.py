"""Operations on tensors by their names in C++: values in, a value out. Where an input wants a
gradient the result is on the tape. docs/training.md has the table of formulas and gradients.

x is [rows, width] unless a line says otherwise; all are float32, or all are float64, which runs
plain formulas: for checks of gradients.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from regard import _core
from regard._cache import RopeTable
from regard._captured import Array
from regard._context import Trace, tracing
from regard._core import ops as _ops
from regard._options import options
from regard._segments import Segment, as_segments
from regard._tensor import Tensor, as_ids, as_tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias: x [rows, inputs], weight [outputs, inputs], bias [outputs]."""
    return _ops.linear(x, weight, bias)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a b: [rows, inner] and [inner, columns]; or each of a batch, with an axis in front."""
    return _ops.matmul(a, b)


def embedding(table: Tensor, ids: ArrayLike) -> Tensor:
    """Rows of table [rows, width] by id. A row's gradient is the sum over the ids that took it."""
    return _ops.embedding(table, as_ids(ids))


def gather(x: Tensor, indices: ArrayLike) -> Tensor:
    """Rows of x by index."""
    return _ops.gather(x, as_ids(indices))


def scatter_add(x: Tensor, rows: Tensor, indices: ArrayLike, weights: Tensor) -> Tensor:
    """x with weights[n] · rows[n] added to its row indices[n]."""
    return _ops.scatter_add(x, rows, as_ids(indices), weights)


def add(a: Tensor, b: Any) -> Tensor:
    """a + b: of one shape, or b a row [width] or one number."""
    return _ops.add(a, as_tensor(b, a))


def sub(a: Tensor, b: Any) -> Tensor:
    """a - b, shapes as of add()."""
    return _ops.sub(a, as_tensor(b, a))


def mul(a: Tensor, b: Any) -> Tensor:
    """a · b element by element, shapes as of add()."""
    return _ops.mul(a, as_tensor(b, a))


def scale(x: Tensor, factor: float) -> Tensor:
    """x · factor."""
    return _ops.scale(x, factor)


def sum(x: Tensor, over: str = "all") -> Tensor:
    """Of all numbers [1]; over "rows" [width]; over "columns" [rows]."""
    return _ops.sum(x, over)


def mean(x: Tensor, over: str = "all") -> Tensor:
    """As sum()."""
    return _ops.mean(x, over)


def concat_rows(parts: Sequence[Tensor]) -> Tensor:
    """One above the other; the parts have one width."""
    return _ops.concat_rows(list(parts))


def concat_columns(parts: Sequence[Tensor]) -> Tensor:
    """Side by side; the parts have as many rows."""
    return _ops.concat_columns(list(parts))


def columns(x: Tensor, first: int, count: int) -> Tensor:
    """Columns [first, first + count)."""
    return _ops.columns(x, first, count)


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Axis n of the result is axis axes[n] of x."""
    return _ops.permute(x, list(axes))


def transpose(x: Tensor) -> Tensor:
    """Of a matrix."""
    return _ops.transpose(x)


def activate(function: str, x: Tensor) -> Tensor:
    """silu, gelu, gelu_tanh, relu, tanh, sigmoid or identity of each number."""
    return _ops.activate(function, x)


def tanh(x: Tensor) -> Tensor:
    return _ops.activate("tanh", x)


def sigmoid(x: Tensor) -> Tensor:
    return _ops.activate("sigmoid", x)


def relu(x: Tensor) -> Tensor:
    return _ops.activate("relu", x)


def activate_gated(function: str, gate: Tensor, up: Tensor) -> Tensor:
    """function(gate) · up (Shazeer 2020)."""
    return _ops.activate_gated(function, gate, up)


def softcap(x: Tensor, cap: float) -> Tensor:
    """tanh(x / cap) · cap."""
    return _ops.softcap(x, cap)


def softmax(x: Tensor) -> Tensor:
    """Of each row."""
    return _ops.softmax(x)


def log_softmax(x: Tensor) -> Tensor:
    """Of each row."""
    return _ops.log_softmax(x)


def log_sum_exp(x: Tensor) -> Tensor:
    """Of each row: [rows]."""
    return _ops.log_sum_exp(x)


def rms_norm(x: Tensor, gain: Tensor, epsilon: float = 1e-5) -> Tensor:
    """x / sqrt(mean(x²) + epsilon) · gain. Zhang and Sennrich 2019, eq. 4."""
    return _ops.rms_norm(x, gain, epsilon)


def layer_norm(x: Tensor, gain: Tensor, shift: Tensor | None = None,
               epsilon: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) · gain + shift of each row. Ba et al. 2016, eq. 4."""
    return _ops.layer_norm(x, gain, shift, epsilon)


RunningStatistics = _ops.RunningStatistics


def batch_norm(x: Tensor, gain: Tensor, shift: Tensor, running: Any, epsilon: float = 1e-5,
               training: bool = True) -> Tensor:
    """Every feature normalised over all rows (Ioffe and Szegedy 2015); in evaluation by the running
    statistics."""
    return _ops.batch_norm(x, gain, shift, running, epsilon, training)


def dropout(x: Tensor, rate: float, seed: int, key: int) -> Tensor:
    """Each number 0 with probability rate, else divided by 1 - rate; the same for the same seed and
    key."""
    return _ops.dropout(x, rate, seed, key)


def cast(x: Tensor, dtype: str) -> Tensor:
    """Rounded to "f16", "bf16", "f32" or "f64"; the gradient goes straight through."""
    return _ops.cast(x, dtype)


def rope(x: Tensor, table: RopeTable, positions: ArrayLike, layout: str = "halves") -> Tensor:
    """Every head of x [tokens, heads, dim] turned by its token's position (Su et al. 2021). Keep the
    table until backward() is done."""
    if layout not in ("halves", "pairs"):
        raise ValueError(f"rope: layout is {layout!r}, must be 'halves' or 'pairs'")
    places = as_ids(positions)
    return _ops.rope(x, table.upto(max(places, default=0) + 1), places, layout == "pairs")


def mean_squared_error(a: Tensor, b: Any) -> Tensor:
    """mean((a - b)²): [1]."""
    return _ops.mean_squared_error(a, as_tensor(b, a))


def cross_entropy(logits: Tensor, targets: ArrayLike, *, weights: ArrayLike | None = None,
                  smoothing: float = 0, normaliser: float = 0) -> Tensor:
    """-log softmax(logits)[target], in nats, over rows: [1].

    logits      [rows, classes]
    targets     [rows]
    weights     [rows]: how much each row counts; rows of 0 are left out exactly. Default: all 1
    smoothing   of labels (Szegedy et al. 2016)
    normaliser  what the sum is divided by; default the sum of the weights
    """
    counts = [] if weights is None else [float(w) for w in np.asarray(weights).reshape(-1)]
    return _ops.cross_entropy(logits, as_ids(targets), counts, smoothing, normaliser)[0]


def token_losses(logits: Tensor, targets: ArrayLike) -> np.ndarray[Any, Any]:
    """-log softmax(logits)[target] of each row, in nats; apart from the tape."""
    return _ops.cross_entropy(logits.detach(), as_ids(targets))[1].numpy()


def captured(leaf: Tensor, name: str = "array") -> Array:
    """The leaf's own memory as an array that programs of attention index: bias[h, i - j]. What an
    optimiser writes there the next pass reads, and its gradient goes to the leaf."""
    return Array(_core.Captured(leaf.numpy(), name, True), leaf, (None,) * len(leaf.shape))


def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Any = None, score: Any = None,
              bias: Any = None, normaliser: Any = "softmax", weight: Any = None,
              similarity: Any = "dot", scale: float | None = None,
              segments: Sequence[Segment] | Sequence[int] | None = None,
              arrays: Sequence[Array] = ()) -> Tensor:
    """regard.attention() on tensors, with gradients of q, k, v and of captured leaves.

    q [tokens, heads, dim], k [keys, kv_heads, dim], v [keys, kv_heads, dim_v] ->
    [tokens, heads, dim_v]. segments: bounds of packed texts, or Segments; default one text.
    arrays: what captured() made for mask, score and weight programs; those of normaliser and
    similarity are known.
    """
    trace = Trace()
    with tracing(trace):
        chosen = options("attention", trace, mask=mask, score=score, bias=bias,
                         normaliser=normaliser, weight=weight, similarity=similarity, scale=scale)
    parts = as_segments(segments, "thd", "attention")
    if parts is None:
        parts = [Segment(0, q.shape[0], 0, k.shape[0]).core()]
    learned = [(array._core, array.source) for array in [*trace.arrays.values(), *arrays]
               if isinstance(array, Array) and isinstance(array.source, Tensor)]
    return _ops.attention(q, k, v, parts, chosen, learned)


def _multiply(a: Tensor, b: Any) -> Tensor:
    return scale(a, float(b)) if isinstance(b, (int, float)) else mul(a, b)


Tensor.__add__ = Tensor.__radd__ = add
Tensor.__sub__ = sub
Tensor.__rsub__ = lambda self, other: add(scale(self, -1.0), other)
Tensor.__mul__ = Tensor.__rmul__ = _multiply
Tensor.__truediv__ = lambda self, other: scale(self, 1.0 / float(other))
Tensor.__neg__ = lambda self: scale(self, -1.0)
Tensor.__matmul__ = matmul
