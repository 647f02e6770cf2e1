"""KvCache, AttentionPlan, RopeTable: keys and values in pages, plans that run again and again."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from regard import _arrays, _core
from regard._context import Trace
from regard._masks import MaskLike
from regard._options import check_flag, options, thread_count
from regard._segments import Segment, as_segments

CacheType = Literal["f32", "f16", "bf16", "i8"]
RopeLayout = Literal["halves", "pairs"]


class RopeTable:
    """Cosines and sines of rotary position embedding. Source: Su et al. 2021, "RoFormer", eq. 34.

    dim      how many leading numbers of a head are rotated, even
    base     angles are position · base^(-2i/dim) / factors[i]
    factors  dim/2 divisors of the frequencies, or none
    scale    positions are divided by it
    """

    def __init__(self, dim: int, base: float = 10000.0, factors: Sequence[float] = (),
                 scale: float = 1.0) -> None:
        self._core = _core.RopeTable(dim, base, [float(factor) for factor in factors], scale)

    def upto(self, positions: int) -> _core.RopeTable:
        """The table, with positions below this one."""
        if positions > self._core.positions:
            self._core.reserve(positions)
        return self._core


def rope(x: Any, table: RopeTable, positions: Sequence[int],
         layout: RopeLayout = "halves") -> Any:
    """Rotates x in place and returns it.

    x          [tokens, heads, dim], float32, unit stride along dim; numbers behind table's dim stay
    table      the angles
    positions  [tokens], that of each token
    layout     which numbers form a pair: "halves" (i, i + dim/2) or "pairs" (2i, 2i + 1)

    Raises TypeError and ValueError, before anything is written.
    Source: Su et al. 2021, "RoFormer", eq. 34.
    """
    at = _positions(positions)
    view = _arrays.borrow(x, "x", "thd", True, "rope")
    _core.rope(view, table.upto(max(at, default=-1) + 1), at, layout)
    return x


class KvCache:
    """Keys and values of many sequences in pages of page_keys keys, as attention reads them.

    A sequence is its block table, page numbers in order: key j lies in page block_table[j //
    page_keys]. Which page belongs to whom is the caller's business; sequences may share pages that
    nobody writes to. Numbers are rounded once, when they are appended, to "f32", "f16", "bf16" or
    "i8" (whole numbers with a scale for each key and head).

    layers, pages, kv_heads, dim, dim_v  sizes; page_keys is 16, 32 or 64
    k_dtype, v_dtype                     how keys and values are stored

    Raises ValueError for other sizes, MemoryError.
    """

    def __init__(self, *, layers: int = 1, pages: int, page_keys: int = 64, kv_heads: int,
                 dim: int, dim_v: int | None = None, k_dtype: CacheType = "f16",
                 v_dtype: CacheType = "f16") -> None:
        dim_v = dim if dim_v is None else dim_v
        self._core = _core.KvCache(layers, pages, page_keys, kv_heads, dim, dim_v, k_dtype, v_dtype)
        self.kv_heads, self.dim, self.dim_v = kv_heads, dim, dim_v

    @property
    def bytes(self) -> int:
        """What all pages hold when full."""
        return self._core.bytes

    def append(self, layer: int, segments: Sequence[Segment], k: Any, v: Any, *,
               table: RopeTable | None = None, layout: RopeLayout = "halves",
               positions: Sequence[int] | None = None, threads: int = 0) -> None:
        """Writes the next keys of many sequences.

        Rows [first_row, first_row + rows) of k [tokens, kv_heads, dim] and v [tokens, kv_heads,
        dim_v], float32, become the last `rows` of the segment's `keys`. With a table, keys are
        rotated on their way, by their position j or by positions [tokens].
        """
        at = [] if positions is None else _positions(positions)
        most = max(at, default=max((segment.keys for segment in segments), default=0) - 1) + 1
        views = [_arrays.borrow(array, name, "thd", call="KvCache.append")
                 for name, array in (("k", k), ("v", v))]
        self._core.append(layer, as_segments(list(segments), "thd", "KvCache.append"), *views,
                          None if table is None else table.upto(most), layout, at,
                          thread_count(threads, "KvCache.append"))

    def read(self, layer: int, block_table: Sequence[int], first_key: int,
             keys: int) -> tuple[np.ndarray, np.ndarray]:
        """What attention reads: k [keys, kv_heads, dim] and v [keys, kv_heads, dim_v], float32."""
        k, v = (np.empty((keys, self.kv_heads, dim), np.float32) for dim in (self.dim, self.dim_v))
        self._core.read(layer, [int(page) for page in block_table], first_key,
                        _arrays.borrow(k, "k", "thd", True), _arrays.borrow(v, "v", "thd", True))
        return k, v


class AttentionPlan:
    """attention() in two steps: shapes, options and workspace are fixed once, run() computes.

    segments  as in attention(); with block tables for run(cache=...)
    The other arguments are attention()'s. Results are attention()'s, bit for bit.
    """

    def __init__(self, segments: Any, *, heads: int, kv_heads: int, dim: int,
                 dim_v: int | None = None, mask: MaskLike = None, score: Any = None,
                 normaliser: Any = "softmax", weight: Any = None, similarity: Any = "dot",
                 scale: float | None = None, threads: int = 0) -> None:
        call = "AttentionPlan"
        self._dim_v = dim if dim_v is None else dim_v
        slots = options(call, Trace(), mask=mask, score=score, normaliser=normaliser,
                        weight=weight, similarity=similarity, scale=scale, threads=threads)
        self._core = _core.Plan(heads, kv_heads, dim, self._dim_v,
                                as_segments(segments, "thd", call), slots)

    def replan(self, segments: Any, *, shared_keys: int = 0) -> None:
        """The same options for the next step's segments.

        shared_keys: so many first keys are the same for all segments, whose block tables begin with
        the same pages (a shared prefix). Whole chunks of 512 of them are read once for all; no bit
        changes. explain() says where that is not done.
        """
        self._core.replan(as_segments(segments, "thd", "AttentionPlan"), shared_keys)

    def run(self, q: Any, k: Any = None, v: Any = None, *, cache: KvCache | None = None,
            layer: int = 0, lse: bool = False, out: Any = None) -> Any:
        """out, or (out, lse), of q [tokens, heads, dim] over k and v or over a layer of a cache.

        k [all keys, kv_heads, dim], v [all keys, kv_heads, dim_v]. Rows in no segment are left as
        they are in an out that is given, and zeros in one that is made.
        """
        call = "AttentionPlan.run"
        if (cache is None) != (k is not None and v is not None):
            raise TypeError(f"{call}: takes k and v, or a cache")
        q_view = _arrays.borrow(q, "q", "thd", call=call)
        rows = q_view.shape[:2]
        if out is None:
            out = _arrays.empty((*rows, self._dim_v), q, q_view.dtype)
            out[...] = 0
        out_view = _arrays.borrow(out, "out", "thd", True, call)
        sums = sums_view = None
        if check_flag(lse, "lse", call):
            sums = _arrays.empty(rows, q)
            sums[...] = -np.inf
            sums_view = _arrays.borrow(sums, "lse", "th", True, call)
        if cache is not None:
            self._core.run_cache(cache._core, layer, q_view, out_view, sums_view)
        else:
            k_view, v_view = (_arrays.borrow(array, name, "thd", call=call)
                              for name, array in (("k", k), ("v", v)))
            self._core.run(q_view, k_view, v_view, out_view, sums_view)
        return (out, sums) if lse else out

    @property
    def workspace_bytes(self) -> int:
        """All the memory that a run uses besides its arrays."""
        return self._core.workspace_bytes

    def explain(self) -> str:
        """In words: target, tiles, how the work is cut and why."""
        return self._core.explain()


def _positions(positions: Sequence[int]) -> list[int]:
    return [int(position) for position in positions]
