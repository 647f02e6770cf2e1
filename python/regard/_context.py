"""Trace: what is known while a function is traced: sizes, names, and what it has captured."""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_FAR = 2**31 - 1


@dataclass(frozen=True)
class Sizes:
    """Of the arrays that a program is for."""

    batch: int
    heads: int
    rows: int
    keys: int


@dataclass
class Trace:
    sizes: Sizes | None = None
    names: dict[int, str] = field(default_factory=dict)  # of objects, by id
    arrays: dict[Any, Any] = field(default_factory=dict)  # captured ones, by whose memory they are

    def spans(self) -> list[tuple[int, int]]:
        """First and last batch, head, i, j, row and sequence that may be met, or any that can be.

        A query before the first key has no key, so nothing is computed for it.
        """
        if self.sizes is None:
            return [(0, _FAR)] * 6
        s = self.sizes
        last_row, last_key = max(s.rows - 1, 0), max(s.keys - 1, 0)
        return [(0, max(s.batch - 1, 0)), (0, max(s.heads - 1, 0)),
                (max(s.keys - s.rows, 0), last_key), (0, last_key), (0, last_row), (0, _FAR)]


_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def current() -> Trace:
    """The trace under way; one that knows nothing where there is none."""
    return _current.get() or Trace()


@contextlib.contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)
