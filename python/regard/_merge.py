"""merge(): attention over all keys from attention over parts of them."""

from typing import Any

from regard import _arrays, _core
from regard._options import check_layout


def merge(out_a: Any, lse_a: Any, out_b: Any, lse_b: Any, *,
          layout: str = "thd") -> tuple[Any, Any]:
    """Attention over the keys of a and of b, from attention over each: (out, lse).

        out_a, out_b, out  [tokens, heads, dim_v], in the order of axes that layout names
        lse_a, lse_b, lse  [tokens, heads], as attention(lse=True) gave them
    All are float32. A part that saw no key (lse -inf) changes nothing, and two such parts give
    zeros and -inf. Shared prefixes (cascade), split keys and ring attention rest on it. A sink must
    enter one part only.

    Raises TypeError for another type, ValueError for shapes that do not agree.
    Source: Milakov and Gimelshein 2018, section 3.1.
    """
    layout = check_layout(layout, "merge")
    without_dim = layout.replace("d", "")
    a, b = (_arrays.borrow(array, name, layout, call="merge")
            for name, array in (("out_a", out_a), ("out_b", out_b)))
    sum_a, sum_b = (_arrays.borrow(array, name, without_dim, call="merge")
                    for name, array in (("lse_a", lse_a), ("lse_b", lse_b)))
    out, lse = _arrays.empty(a.shape, out_a), _arrays.empty(sum_a.shape, out_a)
    _core.merge(a, sum_a, b, sum_b, _arrays.borrow(out, "out", layout, True, "merge"),
                _arrays.borrow(lse, "lse", without_dim, True, "merge"))
    return out, lse
