"""regard.attention on NumPy arrays, compared with the formula in float64."""

import itertools

import numpy as np
import pytest
import regard
from formula import assert_close, assert_lse_close, formula, normal, problem

MASKS = {"full": None, "causal": "causal", "top_left": regard.causal("top_left")}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("tokens, keys", [(1, 1), (1, 300), (7, 7), (17, 129), (40, 12), (129, 640)])
@pytest.mark.parametrize("heads, kv_heads", [(1, 1), (6, 2), (4, 1)])
def test_agrees_with_the_formula(name, tokens, keys, heads, kv_heads):
    q, k, v = problem(tokens, keys, heads, kv_heads, dim=24, dim_v=40)
    out, lse = regard.attention(q, k, v, mask=MASKS[name], lse=True)
    expected, expected_lse = formula(q, k, v, name)
    assert_close(out, expected)
    assert_lse_close(lse, expected_lse)


@pytest.mark.parametrize("dim, dim_v", [(1, 1), (3, 5), (64, 64), (80, 16), (1024, 1024)])
def test_any_dim(dim, dim_v):
    q, k, v = problem(5, 130, dim=dim, dim_v=dim_v)
    assert_close(regard.attention(q, k, v), formula(q, k, v)[0])


@pytest.mark.parametrize("scale", [0, 1, -0.25, np.float32(0.5), np.float64(0.75)])
def test_scale(scale):
    q, k, v = problem(9, 30)
    assert_close(regard.attention(q, k, v, scale=scale), formula(q, k, v, scale=float(scale))[0])


def test_the_word_for_a_mask_is_the_mask():
    q, k, v = problem(9, 30)
    word = regard.attention(q, k, v, mask="causal")
    np.testing.assert_array_equal(word, regard.attention(q, k, v, mask=regard.causal()))
    np.testing.assert_array_equal(
        word, regard.attention(q, k, v, mask=regard.causal(align="bottom_right")))
    np.testing.assert_array_equal(regard.attention(q, k, v),
                                  regard.attention(q, k, v, mask=regard.full()))
    assert not np.array_equal(word, regard.attention(q, k, v))
    assert str(regard.causal("top_left")) == "j <= row"
    assert str(regard.full()) == "True"
    assert isinstance(regard.full(), regard.Expr)


ONE = ["".join(letters) for letters in itertools.permutations("thd")]
MANY = ["".join(letters) for letters in itertools.permutations("bthd")]


@pytest.mark.parametrize("layout", ONE + MANY)
def test_every_layout_is_the_same_numbers(layout):
    batch, tokens, keys = 3, 10, 70
    q = normal(1, batch, tokens, 4, 8)
    k, v = normal(2, batch, keys, 2, 8), normal(3, batch, keys, 2, 12)
    expected = [formula(*one, "causal") for one in zip(q, k, v)]
    out, lse = (np.stack(parts) for parts in zip(*expected))  # [b, t, h, d], [b, t, h]
    from_bthd = ["bthd".index(letter) for letter in layout]
    lse_from_bth = ["bth".index(letter) for letter in layout if letter != "d"]
    if "b" not in layout:
        q, k, v, out, lse = q[:1], k[:1], v[:1], out[:1], lse[:1]

    def arrange(array, axes):
        axes = axes if "b" in layout else [0, *axes]
        moved = np.ascontiguousarray(array.transpose(axes))
        return moved if "b" in layout else moved[0]

    arrays = [arrange(array, from_bthd) for array in (q, k, v)]
    result, sums = regard.attention(*arrays, mask="causal", lse=True, layout=layout)
    expected, expected_lse = arrange(out, from_bthd), arrange(lse, lse_from_bth)
    dim = layout.index("d")
    assert_close(np.moveaxis(result, dim, -1), np.moveaxis(expected, dim, -1))
    assert_lse_close(sums, expected_lse)
    assert result.flags.c_contiguous and sums.flags.c_contiguous


@pytest.mark.parametrize("layout", ["bhtd", "bthd"])
@pytest.mark.parametrize("heads, kv_heads", [(1, 1), (6, 2)])
def test_a_batch_is_its_sequences_to_the_bit(layout, heads, kv_heads):
    """However a batch is cut: folded into heads (bhtd) or one sequence after another (bthd)."""
    q = normal(1, 4, 21, heads, 16)
    k, v = normal(2, 4, 600, kv_heads, 16), normal(3, 4, 600, kv_heads, 8)
    one = [regard.attention(*arrays, mask="causal") for arrays in zip(q, k, v)]
    if layout == "bhtd":
        q, k, v, one = (np.ascontiguousarray(np.swapaxes(a, 1, 2)) for a in (q, k, v, np.stack(one)))
    result = regard.attention(q, k, v, mask="causal", layout=layout)
    np.testing.assert_array_equal(result, one)


STRIDED = {
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
    "fortran": np.asfortranarray,
    "heads outside": lambda a: np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    "dim outside": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "wider rows": lambda a: np.pad(a, ((3, 2), (1, 1), (2, 5)),
                                   constant_values=np.nan)[3:-2, 1:-1, 2:-5],
    "read only": lambda a: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape),
}


@pytest.mark.parametrize("kind", STRIDED)
def test_strides_change_no_bit(kind):
    q, k, v = problem(33, 150, 4, 2, 20, 12)
    views = [STRIDED[kind](a) for a in (q, k, v)]
    for view, array in zip(views, (q, k, v)):
        np.testing.assert_array_equal(view, array)
    assert kind == "read only" or any(view.strides != a.strides for view, a in zip(views, (q, k, v)))
    np.testing.assert_array_equal(regard.attention(*views, mask="causal"),
                                  regard.attention(q, k, v, mask="causal"))


def test_stride_zero():
    q, k, v = problem(1, 1, 1, 2, 8, 8)[0], normal(2, 50, 1, 8), normal(3, 50, 1, 8)
    rows, keys, values = (np.broadcast_to(q, (6, 4, 8)), np.broadcast_to(k, (50, 2, 8)),
                          np.broadcast_to(v, (50, 2, 8)))
    assert_close(regard.attention(rows, keys, values, mask="causal"),
                 formula(rows, keys, values, "causal")[0])


def test_packed_projections_are_read_in_place():
    packed = normal(1, 60, 3, 4, 16)  # [tokens, q k v, heads, dim], as one matmul gives them
    q, k, v = packed[:, 0], packed[:, 1], packed[:, 2]
    assert_close(regard.attention(q, k, v), formula(q, k, v)[0])
    assert_close(regard.attention(q, q, q), formula(q, q, q)[0])


@pytest.mark.parametrize("sizes", [(0, 5, 2, 2, 4, 4), (5, 0, 2, 2, 4, 4), (5, 5, 0, 0, 4, 4),
                                   (5, 5, 2, 2, 4, 0), (0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1)])
def test_sizes_zero_and_one(sizes):
    q, k, v = problem(*sizes)
    out = regard.attention(q, k, v)
    assert_close(out, formula(q, k, v)[0])
    assert "tiles" in regard.explain(q, k, v) or out.size == 0


def test_dim_zero_is_the_mean():
    q, k, v = problem(3, 7, dim=0, dim_v=4)
    expected = np.broadcast_to(v.astype(np.float64).mean(axis=0), (3, 1, 4))
    assert_close(regard.attention(q, k, v), expected)


@pytest.mark.parametrize("layout", ["bthd", "bhtd"])
def test_batch_zero(layout):
    shape = (0, 3, 3, 8)
    out, lse = regard.attention(*[np.zeros(shape, np.float32)] * 3, layout=layout, lse=True)
    assert out.shape == shape and lse.shape == shape[:3]


def test_a_row_without_keys():
    q, k, v = problem(5, 2)
    out, lse = regard.attention(q, k, v, mask="causal", lse=True)
    assert not out[:3].any() and (lse[:3] == -np.inf).all()
    assert out[3:].all() and np.isfinite(lse[3:]).all()


def test_a_masked_nan_stays_away():
    q, k, v = problem(4, 4)
    expected = regard.attention(q[:3], k[:3], v[:3], mask="causal")
    k[3] = v[3] = np.nan
    out = regard.attention(q, k, v, mask="causal")
    np.testing.assert_array_equal(out[:3], expected)
    assert np.isnan(out[3]).all()


def test_out_is_filled_and_returned():
    q, k, v = problem(20, 40, 4, 2)
    expected, expected_lse = regard.attention(q, k, v, lse=True)
    wide = np.full((20, 8, 16), np.nan, np.float32)
    for out in (np.full((20, 4, 16), np.nan, np.float32), wide[:, ::2], wide[::-1, 7::-2],
                np.full((16, 4, 20), np.nan, np.float32).T):
        result, lse = regard.attention(q, k, v, out=out, lse=True)
        assert result is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(lse, expected_lse)
    wide[:, ::2] = np.nan
    regard.attention(q, k, v, out=wide[:, 1::2])
    assert np.isnan(wide[:, ::2]).all() and not np.isnan(wide[:, 1::2]).any()


@pytest.mark.parametrize("tokens, keys", [(1, 5000), (64, 1100)])
def test_threads_change_no_bit(tokens, keys):
    q, k, v = problem(tokens, keys, 4, 2, 32, 32)
    expected = regard.attention(q, k, v, mask="causal", threads=1)
    for threads in (0, 2, 3, 7, np.int64(4)):
        np.testing.assert_array_equal(
            regard.attention(q, k, v, mask="causal", threads=threads), expected)
