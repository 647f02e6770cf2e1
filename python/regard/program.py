"""Programs: what is done to a score, and which keys are allowed, written down as a formula.

    from regard import program
    from regard.program import score, query as i, key as j

    softcap = program.tanh(score() / 30) * 30
    local = (j() <= i()) & (i() - j() < 256)
    out = regard.attention(q, k, v, mask=local, score=softcap)

or as functions, which regard calls once: mask=lambda i, j: (j <= i) & (i - j < 256).

The leaves: score() is the scaled similarity s; query() i is the query's position among its
sequence's keys, key() j the key's position, row() the query's index in this call, head() and
batch() whose they are. So a program means the same in prefill, in a chunk and in decode.

regard.array(numbers)[h, i, j] reads an array. There is no compiler: the kernels run a program as a
list of vector instructions, one tile of scores at a time. Masks compose with & | ~ and are never
stored; whole tiles are skipped where interval arithmetic proves them empty. A key is seen by a
query where the mask is true.

Raises TypeError where kinds do not fit, ValueError where numbers do not.
"""

from typing import Any

import numpy as np

from regard import _core
from regard import _functions as _f
from regard._captured import Array, array
from regard._expr import Expr, apply, as_expr
from regard._trace import LEAVES

__all__ = [
    "Array", "Expr", "abs", "additive_bias", "alibi", "alibi_slopes", "allowed", "array", "batch",
    "block_sparse", "causal_mask", "chunk", "cos", "derivative", "dilated", "documents",
    "evaluate", "exp", "floor", "gumbel_noise", "head", "key", "left_padding", "lengths", "log",
    "maximum", "minimum", "natten", "natten_2d", "prefix", "query", "relative_position", "row",
    "score", "sequence", "sigmoid", "sin", "softcap", "sqrt", "t5_bias", "t5_buckets", "tanh",
    "tree_bits", "uniform", "weight", "where", "window",
]

# ---- leaves ----


def score() -> Expr:
    """s, the scaled similarity of query and key."""
    return LEAVES["score"]


def batch() -> Expr:
    """Index of the sequence in this call."""
    return LEAVES["batch"]


def head() -> Expr:
    """Index of the query head."""
    return LEAVES["head"]


def query() -> Expr:
    """i, the query's position among its sequence's keys: keys - rows + row, unless told."""
    return LEAVES["query"]


def key() -> Expr:
    """j, the key's position in its sequence."""
    return LEAVES["key"]


def row() -> Expr:
    """Index of the query in this call, within its sequence."""
    return LEAVES["row"]


def sequence() -> Expr:
    """The sequence's id, by default its index: what random numbers are keyed on."""
    return LEAVES["sequence"]


def weight() -> Expr:
    """In a weight program: p, the normalised weight."""
    return LEAVES["weight"]


# ---- functions ----


def where(condition: Any, yes: Any, no: Any) -> Expr:
    """yes where the condition is true, else no. The side not taken is not used, NaN or not."""
    return _f.where(condition, yes, no)


def minimum(a: Any, b: Any) -> Expr:
    """The smaller one; NaN if either is."""
    return apply("minimum", a, b)


def maximum(a: Any, b: Any) -> Expr:
    """The larger one; NaN if either is."""
    return apply("maximum", a, b)


def tanh(a: Any) -> Expr:
    """Hyperbolic tangent."""
    return _f.tanh(a)


def exp(a: Any) -> Expr:
    """e to the power a."""
    return _f.exp(a)


def log(a: Any) -> Expr:
    """Natural logarithm."""
    return _f.log(a)


def sigmoid(a: Any) -> Expr:
    """1 / (1 + exp(-a))."""
    return _f.sigmoid(a)


def sqrt(a: Any) -> Expr:
    """Square root; NaN below 0."""
    return _f.sqrt(a)


def sin(a: Any) -> Expr:
    """Of an angle in radians."""
    return _f.sin(a)


def cos(a: Any) -> Expr:
    """Of an angle in radians."""
    return _f.cos(a)


def floor(a: Any) -> Expr:
    """Rounded down; of an integer itself."""
    return apply("floor", a)


def abs(a: Any) -> Expr:  # noqa: A001 (the same name as in C++)
    """The absolute value; of an integer an integer."""
    return apply("abs", a)


# ---- masks: true where the key is allowed; they compose with & | ~ ----


def _of(core: _core.Expr) -> Expr:
    return Expr(core)


def _array(source: Any, name: str) -> _core.Captured:
    return array(source, name)._core


def _expr(value: Any) -> _core.Expr:
    return as_expr(value)._core


def causal_mask() -> Expr:
    """j <= i."""
    return _of(_core.causal_mask())


def window(left: Any, right: Any) -> Expr:
    """-left <= j - i <= right, inclusive at both ends (Child et al. 2019; Beltagy et al. 2020)."""
    return _of(_core.window(_expr(left), _expr(right)))


def prefix(n: Any) -> Expr:
    """j < n: causal_mask() | prefix(n) is a prefix LM (Raffel et al. 2020)."""
    return _of(_core.prefix(_expr(n)))


def documents(ids: Any) -> Expr:
    """id[i] == id[j], ids integer [keys] or [batch, keys]: packed documents do not mix."""
    return _of(_core.documents(_array(ids, "ids")))


def lengths(keys: Any) -> Expr:
    """j < keys[batch], keys integer [batch]: padding behind each sequence."""
    return _of(_core.lengths(_array(keys, "keys")))


def left_padding(pads: Any) -> Expr:
    """j >= pads[batch], pads integer [batch]: padding before each sequence."""
    return _of(_core.left_padding(_array(pads, "pads")))


def allowed(mask: Any) -> Expr:
    """mask[..., row, j], boolean, the last of the axes [batch, heads, rows, keys].

    An axis of extent 1 is broadcast. The array itself is read, not copied.
    """
    return _of(_core.allowed(_array(mask, "mask")))


def block_sparse(blocks: Any, block_q: int, block_k: int) -> Expr:
    """blocks[..., i // block_q, j // block_k], boolean (Child et al. 2019).

    The last of the axes [batch, heads, query blocks, key blocks].
    """
    return _of(_core.block_sparse(_array(blocks, "blocks"), block_q, block_k))


def tree_bits(bits: Any, first: Any = None) -> Expr:
    """Tree decoding (Miao et al. 2023): row r sees draft t where its bit is set.

    That is bit t % 32 of bits[r, t // 32], bits integer [rows, words]. Drafts are the keys from
    position `first` on, by default the call's first row's, i - row. Keys before it are allowed.
    """
    first = query() - row() if first is None else first
    return _of(_core.tree_bits(_array(bits, "bits"), _expr(first)))


def chunk(n: Any) -> Expr:
    """i // n == j // n: attention within chunks of n."""
    return _of(_core.chunk(_expr(n)))


def dilated(step: Any) -> Expr:
    """(i - j) % step == 0 (Child et al. 2019; Beltagy et al. 2020)."""
    return _of(_core.dilated(_expr(step)))


def natten(length: int, kernel: int, dilation: int = 1) -> Expr:
    """Neighbourhood attention in one dimension (Hassani et al. 2023; dilated 2022).

    The `kernel` keys nearest to the query, at the borders moved inwards, among those whose position
    agrees with it mod dilation.
    """
    return _of(_core.natten(length, kernel, dilation))


def natten_2d(height: int, width: int, kernel_y: int, kernel_x: int, dilation: int = 1) -> Expr:
    """natten() of positions y width + x, in both directions."""
    return _of(_core.natten_2d(height, width, kernel_y, kernel_x, dilation))


# ---- scores: s with something done to it; to chain them give the first as the second's s ----


def _s(s: Any) -> _core.Expr:
    return _expr(score() if s is None else s)


def alibi(slopes: Any, s: Any = None) -> Expr:
    """s + slopes[h] (j - i), slopes [heads] real (Press et al. 2022)."""
    return _of(_core.alibi(_array(slopes, "slopes"), _s(s)))


def alibi_slopes(heads: int) -> np.ndarray:
    """2^(-8 k / heads), k = 1 .. heads, float32 [heads]; see C++ for other than powers of two."""
    return np.asarray(_core.alibi_slopes(heads), np.float32)


def t5_bias(table: Any, buckets: int, max_distance: int, bidirectional: bool,
            s: Any = None) -> Expr:
    """s + table[bucket(j - i), h], table [buckets, heads] real (Raffel et al. 2020)."""
    return _of(_core.t5_bias(_array(table, "table"), buckets, max_distance, bidirectional, _s(s)))


def t5_buckets(buckets: int, max_distance: int, bidirectional: bool) -> np.ndarray:
    """The bucket of every distance j - i from -max_distance to max_distance, int32."""
    return np.asarray(_core.t5_buckets(buckets, max_distance, bidirectional), np.int32)


def relative_position(table: Any, s: Any = None) -> Expr:
    """s + table[h, clamp(i - j, -m, m) + m] (Shaw et al. 2018).

    table is real, [heads, 2 m + 1] or [2 m + 1].
    """
    return _of(_core.relative_position(_array(table, "table"), _s(s)))


def softcap(cap: Any, s: Any = None) -> Expr:
    """tanh(s / cap) cap (Gemma 2, 2024)."""
    return _of(_core.softcap(_expr(cap), _s(s)))


def additive_bias(bias: Any, s: Any = None) -> Expr:
    """s + bias[..., row, j], bias real.

    The last of the axes [batch, heads, rows, keys]; an axis of extent 1 is broadcast.
    """
    return _of(_core.additive_bias(_array(bias, "bias"), _s(s)))


# ---- random numbers: keyed on (seed, sequence, head, i, j), by counting ----


def uniform(seed: int) -> Expr:
    """Real numbers of [0, 1), one for each (sequence, head, i, j)."""
    return _of(_core.uniform(seed))


def gumbel_noise(seed: int) -> Expr:
    """-log(-log(u)): the key with the largest s + gumbel_noise(seed) is drawn from softmax(s).

    Source: Gumbel 1954.
    """
    return _of(_core.gumbel_noise(seed))


# ---- looking at a program ----


def derivative(expr: Expr) -> Expr:
    """The derivative of a program by the score s, as a program."""
    return _of(_core.derivative(_expr(expr)))


def evaluate(expr: Any, *, s: Any = 0.0, batch: Any = 0, head: Any = 0, i: Any = 0, j: Any = 0,
             row: Any = None, sequence: Any = None) -> np.ndarray:
    """The values at given points, in double precision: what the kernels' f32 is compared with.

    s, batch, head, i, j, row (default i) and sequence (default batch) are numbers or arrays, and
    broadcast as NumPy does.
    Returns a float64 array; conditions give 0 and 1. NaN where an integer or boolean array was
    left.
    """
    scores, *indices = np.broadcast_arrays(
        np.asarray(s, np.float64), *(np.asarray(at, np.int64) for at in (
            batch, head, i, j, i if row is None else row,
            batch if sequence is None else sequence)))
    values = np.empty(scores.size)
    _core.evaluate(_expr(expr), np.ascontiguousarray(scores).reshape(-1),
                   np.stack([at.reshape(-1) for at in indices], axis=-1), values)
    return values.reshape(scores.shape)
