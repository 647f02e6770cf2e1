"""Call: the arrays of one call, borrowed, and how they are laid out."""

from dataclasses import dataclass
from typing import Any

from regard import _arrays, _core
from regard._context import Sizes
from regard._options import check_layout
from regard._segments import as_segments, longest


@dataclass
class Call:
    name: str
    q: _core.Borrowed
    k: _core.Borrowed
    v: _core.Borrowed
    layout: str
    segments: list[_core.Segment] | None = None

    @property
    def sizes_by_letter(self) -> dict[str, int]:
        """Of out."""
        sizes = dict(zip(self.layout, self.q.shape))
        return {"b": 1, **sizes, "d": self.v.shape[self.layout.index("d")]}

    @property
    def longest_keys(self) -> int:
        if self.segments is not None:
            return longest(self.segments)
        return self.k.shape[self.layout.index("t")]

    @property
    def sizes(self) -> Sizes | None:
        """What programs can rely on; positions of ragged sequences are their own."""
        if self.segments is not None:
            return None
        out = self.sizes_by_letter
        return Sizes(out["b"], out["h"], out["t"], self.longest_keys)


def call_of(name: str, arrays: dict[str, Any], layout: Any, segments: Any) -> Call:
    """q, k and v borrowed; their names are the dict's keys."""
    layout = check_layout(layout, name)
    views = [_arrays.borrow(array, of, layout, call=name) for of, array in arrays.items()]
    return Call(name, *views, layout, as_segments(segments, layout, name))
