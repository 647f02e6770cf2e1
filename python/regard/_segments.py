"""Segments: sequences of different lengths, next to each other in one array."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard import _core


@dataclass(frozen=True)
class Segment:
    """One sequence of a ragged batch: its rows in q and out, its keys in k and v or in pages.

    position     i of its first row; default keys - rows
    sequence     what random numbers are keyed on; default the segment's index
    block_table  its pages in a regard.KvCache, in order; first_key is of no use then
    """

    first_row: int
    rows: int
    first_key: int
    keys: int
    position: int | None = None
    sequence: int | None = None
    block_table: Sequence[int] = ()

    def core(self) -> _core.Segment:
        """What C++ takes."""
        return _core.Segment(self.first_row, self.rows, self.first_key, self.keys, self.position,
                             self.sequence, [int(page) for page in self.block_table])


def as_segments(segments: Any, layout: str, call: str) -> list[_core.Segment] | None:
    """What C++ takes, from Segments or from one or two arrays of bounds."""
    if segments is None:
        return None
    if "b" in layout:
        raise ValueError(f"{call}: segments lie in arrays without a batch axis, layout is "
                         f"'{layout}'")
    parts = list(segments) if isinstance(segments, Iterable) else []
    if parts and all(isinstance(part, Segment) for part in parts):
        return [part.core() for part in parts]
    if isinstance(segments, tuple) and len(segments) == 2 and np.ndim(segments[0]) == 1:
        rows, keys = (_bounds(part, call) for part in segments)
    else:
        rows = keys = _bounds(segments, call)
    if len(rows) != len(keys):
        raise ValueError(f"{call}: segments have {len(rows)} bounds of rows and {len(keys)} of "
                         "keys")
    return [Segment(rows[n], rows[n + 1] - rows[n], keys[n], keys[n + 1] - keys[n]).core()
            for n in range(len(rows) - 1)]


def _bounds(bounds: Any, call: str) -> list[int]:
    try:
        numbers = [operator.index(bound) for bound in bounds]
    except TypeError:
        raise TypeError(f"{call}: segments is {bounds!r:.60}, must be bounds (integers 0, n0, n0 + "
                        "n1, ...), a pair of such for rows and keys, or regard.Segments") from None
    if len(numbers) == 0 or any(b < a for a, b in zip(numbers, numbers[1:])):
        raise ValueError(f"{call}: segments has the bounds {numbers!r:.60}, which must ascend")
    return numbers


def longest(segments: list[_core.Segment]) -> int:
    return max((segment.keys for segment in segments), default=0)
