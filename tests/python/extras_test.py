"""What attention() gives besides out, and ragged batches."""

import re

import numpy as np
import pytest
import regard
from formula import assert_close, dense, normal

B, H, KV, T, K = 2, 4, 2, 9, 140
Q, KEY, VALUE = normal(1, B, H, T, 16), normal(2, B, KV, K, 16), normal(3, B, KV, K, 12)
MATRICES = ["similarities", "scores", "masked", "weights"]
MASK = lambda i, j: (j <= i) & (j % 5 != 2)  # noqa: E731
SCORE = lambda s: 2 * np.tanh(s / 2)  # noqa: E731
EXPECTED = dense(Q, KEY, VALUE, lambda b, h, i, j: (j <= i) & (j % 5 != 2),
                 lambda s, b, h, i, j: 2 * np.tanh(s / 2))


@pytest.mark.parametrize("layout", ["bhtd", "bthd", "tbhd"])
def test_extras(layout):
    move = ["bhtd".index(letter) for letter in layout]
    out, extras = regard.attention(
        *(a.transpose(move) for a in (Q, KEY, VALUE)),
        layout=layout,
        mask=MASK,
        score=SCORE,
        lse=True,
        extras=[*MATRICES, "entropy", "key_sums"],
    )
    assert_close(np.moveaxis(out, layout.index("d"), -1), EXPECTED.out.transpose(move))
    for name in MATRICES:
        np.testing.assert_allclose(getattr(extras, name), getattr(EXPECTED, name).transpose(move),
                                   rtol=1e-5, atol=2e-6, err_msg=name)
    rows = ["bht".index(letter) for letter in layout if letter != "d"]
    np.testing.assert_allclose(
        extras.entropy, EXPECTED.entropy.transpose(rows), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(extras.lse, EXPECTED.lse.transpose(rows), rtol=1e-5)
    sums = EXPECTED.weights.sum(axis=2)  # [batch, heads, keys]
    np.testing.assert_allclose(extras.key_sums, sums, rtol=1e-5, atol=1e-6)
    assert extras.top_keys is None and extras.top_weights is None


def test_the_largest_weights():
    out, extras = regard.attention(
        Q, KEY, VALUE, layout="bhtd", mask=MASK, score=SCORE, extras=["top"], top=5
    )
    order = np.argsort(-EXPECTED.weights, axis=-1, kind="stable")[..., :5]
    np.testing.assert_array_equal(extras.top_keys, order)
    np.testing.assert_allclose(
        extras.top_weights, np.take_along_axis(EXPECTED.weights, order, -1), rtol=1e-5
    )
    assert extras.top_keys.dtype == np.int32 and extras.lse is None
    _, few = regard.attention(
        Q, KEY, VALUE, layout="bhtd", mask=lambda i, j: j == 7, extras=["top"], top=3
    )
    assert (few.top_keys == [7, -1, -1]).all() and (few.top_weights == [1, 0, 0]).all()


def test_one_sequence():
    q, k, v = Q[0].swapaxes(0, 1), KEY[0].swapaxes(0, 1), VALUE[0].swapaxes(0, 1)
    _, extras = regard.attention(q, k, v, mask=MASK, score=SCORE, extras=["weights", "key_sums"])
    np.testing.assert_allclose(
        extras.weights, EXPECTED.weights[0].swapaxes(0, 1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        extras.key_sums, EXPECTED.weights[0].sum(axis=1), rtol=1e-5, atol=1e-6
    )


ROWS, KEYS = [0, 4, 4, 9], [0, 30, 35, 180]


def test_extras_of_segments():
    q, k, v = normal(4, 10, 4, 16), normal(5, 180, 2, 16), normal(6, 180, 2, 12)
    names = ["key_sums", "weights", "entropy"]
    _, extras = regard.attention(q, k, v, segments=(ROWS, KEYS), mask="causal", extras=names)
    assert extras.key_sums.shape == (3, 4, 145) and extras.weights.shape == (10, 4, 145)
    for n in range(3):
        rows, keys = slice(*ROWS[n:n + 2]), slice(*KEYS[n:n + 2])
        _, its = regard.attention(q[rows], k[keys], v[keys], mask="causal", extras=names)
        length = keys.stop - keys.start
        np.testing.assert_array_equal(extras.key_sums[n, :, :length], its.key_sums)
        np.testing.assert_array_equal(extras.weights[rows, :, :length], its.weights)
        np.testing.assert_array_equal(extras.entropy[rows], its.entropy)
        assert (
            not extras.key_sums[n, :, length:].any() and not extras.weights[rows, :, length:].any()
        )


def call(**options):
    return lambda: regard.attention(Q[0], KEY[0], VALUE[0], layout="htd", **options)


@pytest.mark.parametrize(
    "kind, words, call",
    [
        (
            ValueError,
            "extras has 'entropie', names are entropy, key_sums, top",
            call(extras=["entropie"]),
        ),
        (TypeError, "extras is 'entropy', must be a list of names", call(extras="entropy")),
        (ValueError, "extras asks for 'top', and top is 0", call(extras=["top"])),
        (ValueError, "extras does not ask for 'top', and top is 3", call(top=3)),
    ],
    ids=range(4),
)
def test_each_mistake_has_its_message(kind, words, call):
    with pytest.raises(kind, match=re.escape(words)):
        call()
