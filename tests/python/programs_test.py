"""Masks, scores, normalisers and similarities in regard.attention, against matrices in float64."""

import numpy as np
import pytest
import regard
from formula import assert_close, assert_lse_close, dense, normal
from regard import program

B, H, KV, T, K, D = 2, 4, 2, 21, 150, 16
Q, KEY, VALUE = normal(1, B, H, T, D), normal(2, B, KV, K, D), normal(3, B, KV, K, 12)
RNG = np.random.default_rng(5)
IDS = np.sort(RNG.integers(0, 4, K)).astype(np.int32)
BIAS, TABLE = normal(6, H, T, K), normal(7, 2 * K)


def run(**options):
    return regard.attention(Q, KEY, VALUE, layout="bhtd", **options)


MASKS = {
    "window": (lambda i, j: (j <= i) & (i - j < 40), lambda b, h, i, j: (j <= i) & (i - j < 40)),
    "expression": (
        regard.causal() & program.window(9, 0),
        lambda b, h, i, j: (j <= i) & (i - j <= 9),
    ),
    "documents": (lambda i, j: IDS[i] == IDS[j], lambda b, h, i, j: IDS[i] == IDS[j]),
    "of heads": (
        lambda b, h, i, j: (j + h) % (b + 2) != 0,
        lambda b, h, i, j: (j + h) % (b + 2) != 0,
    ),
    "empty rows": (lambda i, j: (j > i) & (i % 2 == 0), lambda b, h, i, j: (j > i) & (i % 2 == 0)),
    "full": (regard.full(), None),
    "nothing": (lambda i, j: j < 0, lambda b, h, i, j: j < 0),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name):
    mask, matrix = MASKS[name]
    expected = dense(Q, KEY, VALUE, matrix)
    out, lse = run(mask=mask, lse=True)
    assert_close(out, expected.out)
    assert_lse_close(lse, expected.lse)


@pytest.mark.parametrize("shape", [(K,), (T, K), (1, K), (T, 1), (H, T, K), (1, T, K), (H, 1, 1),
                                   (B, H, T, K), (B, 1, 1, K), (B, 1, T, K), (1, 1, 1, 1)])
def test_boolean_arrays(shape):
    mask = np.random.default_rng(1).random(shape) < 0.5
    assert_close(run(mask=mask), dense(Q, KEY, VALUE, lambda b, h, i, j: mask).out)
    backwards = mask[..., ::-1].copy()[..., ::-1]
    np.testing.assert_array_equal(run(mask=backwards), run(mask=mask))


@pytest.mark.parametrize("shape", [(K,), (T, K), (H, T, K), (B, 1, T, K), (B, H, 1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_biases(shape, dtype):
    bias = normal(4, *shape).astype(dtype)
    expected = dense(Q, KEY, VALUE, score=lambda s, b, h, i, j: s + bias.astype(np.float32))
    assert_close(run(bias=bias), expected.out)


def test_bias_comes_behind_score():
    expected = dense(Q, KEY, VALUE, score=lambda s, b, h, i, j: 2 * np.tanh(s / 2) + BIAS)
    assert_close(run(score=program.softcap(2.0), bias=BIAS), expected.out)


SCORES = {
    "softcap": (lambda s: 3 * np.tanh(s / 3), lambda s, b, h, i, j: 3 * np.tanh(s / 3)),
    "distance": (lambda s, i, j: s - 0.1 * abs(i - j), lambda s, b, h, i, j: s - 0.1 * abs(i - j)),
    "table": (
        lambda s, b, h, i, j: s + TABLE[i - j + K] * h,
        lambda s, b, h, i, j: s + TABLE[i - j + K] * h,
    ),
    "row of a bias": (
        lambda s, b, h, i, j: s + BIAS[h, i - (K - T), j],
        lambda s, b, h, i, j: s + BIAS,
    ),
    "alibi": (
        program.alibi(program.alibi_slopes(H)),
        lambda s, b, h, i, j: s + 2.0 ** (-8 * (h + 1) / H) * (j - i),
    ),
    "causal by -inf": (
        lambda s, i, j: np.where(j <= i, s, -np.inf),
        lambda s, b, h, i, j: np.where(j <= i, s, -np.inf),
    ),
    "constant": (lambda s: 0.5, lambda s, b, h, i, j: 0.5 + 0 * s),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores(name):
    score, matrix = SCORES[name]
    assert_close(run(score=score), dense(Q, KEY, VALUE, score=matrix).out)
    out = run(score=score, mask=lambda i, j: j % 3 != 1)
    assert_close(out, dense(Q, KEY, VALUE, lambda b, h, i, j: j % 3 != 1, matrix).out)


@pytest.mark.parametrize("word", ["softmax", "sigmoid", "relu"])
def test_normalisers(word):
    expected = dense(Q, KEY, VALUE, lambda b, h, i, j: j <= i, normaliser=word)
    assert_close(run(normaliser=word, mask="causal"), expected.out)
    slot = getattr(regard, word)()
    np.testing.assert_array_equal(
        run(normaliser=slot, mask="causal"), run(normaliser=word, mask="causal")
    )


def weights(normaliser, scores):
    """Of one row, with the identity as values."""
    n = len(scores)
    q, k = np.ones((1, 1, 1), np.float32), np.float32(scores).reshape(n, 1, 1)
    return regard.attention(
        q, k, np.eye(n, dtype=np.float32)[:, None], scale=1, normaliser=normaliser
    )[0, 0]


def test_normalisers_by_hand():
    np.testing.assert_allclose(weights("sparsemax", [1.0, 0.5, -1.0]), [0.75, 0.25, 0], atol=1e-6)
    # entmax: p = ((s - tau) / 2)^2 where positive; here tau = -1 gives 1 = (1 + 0)^2 + 0
    np.testing.assert_allclose(weights("entmax15", [1.0, -1.0, -3.0]), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(weights("entmax15", [0.0, 0.0]), [0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(weights("hardmax", [1, 3, 3, 2]), [0, 1, 0, 0])
    np.testing.assert_allclose(
        weights(regard.sigmoid(bias=1.0), [0.0]), [1 / (1 + np.exp(-1))], rtol=1e-6
    )
    np.testing.assert_allclose(
        weights(regard.softmax_with_sink(0.0), [0.0, 0.0]), [1 / 3, 1 / 3], rtol=1e-6
    )
    hard = weights(regard.gumbel_softmax(0.5, seed=3, sample="hard"), [0.0] * 8)
    assert hard.sum() == 1 and hard.max() == 1
    soft = weights(regard.gumbel_softmax(0.5, seed=3), [0.0] * 8)
    assert soft.argmax() == hard.argmax() and 0 < soft.min()
    others = [
        weights(regard.gumbel_softmax(0.5, seed=n, sample="hard"), [0.0] * 8).argmax()
        for n in range(20)
    ]
    assert len(set(others)) > 3


def test_sinks_of_each_head():
    sinks = normal(8, H)
    expected = dense(Q, KEY, VALUE, sinks=sinks)
    out, lse = run(normaliser=regard.softmax_with_sink(sinks), lse=True)
    assert_close(out, expected.out)
    assert_lse_close(lse, expected.lse)  # without the sink


def similarity(kind, q, k):
    q, k = q.astype(np.float64), np.repeat(k, H // KV, axis=1).astype(np.float64)
    if kind == "cosine":
        unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k)]
        return np.einsum("bhid,bhjd->bhij", *unit)
    return -((q[:, :, :, None] - k[:, :, None]) ** 2).sum(axis=-1) / (2 * np.sqrt(D))


@pytest.mark.parametrize("kind", ["cosine", "negative_distance"])
def test_similarities(kind):
    expected = dense(Q, KEY, VALUE, score=lambda s, b, h, i, j: similarity(kind, Q, KEY))
    assert_close(run(similarity=kind), expected.out)
    np.testing.assert_array_equal(run(similarity=getattr(regard, kind)()), run(similarity=kind))


def test_learned_similarities():
    w, v = normal(9, D, D), normal(10, D)
    keys = np.repeat(KEY, H // KV, axis=1).astype(np.float64)
    bilinear = np.einsum("bhid,de,bhje->bhij", Q, w, keys) / np.sqrt(D)
    additive = (v * np.tanh(Q[:, :, :, None] + keys[:, :, None])).sum(axis=-1)
    for slot, scores in ((regard.bilinear(w), bilinear), (regard.additive(v), additive)):
        expected = dense(Q, KEY, VALUE, score=lambda s, b, h, i, j, scores=scores: scores)
        np.testing.assert_allclose(run(similarity=slot), expected.out, rtol=1e-4, atol=1e-5)


def test_weight_programs():
    doubled = run(weight=lambda p: p * 2)
    np.testing.assert_allclose(doubled, 2 * run(), rtol=1e-6)
    squared = dense(Q, KEY, VALUE)
    squared = np.einsum("bhij,bhjd->bhid", squared.weights ** 2, np.repeat(VALUE, H // KV, axis=1))
    np.testing.assert_allclose(
        run(weight=program.weight() * program.weight()), squared, rtol=1e-4, atol=1e-6
    )


def test_dropout():
    ones = np.ones_like(VALUE)
    out = run(weight=regard.dropout(0.25, seed=1))
    np.testing.assert_array_equal(out, run(weight=regard.dropout(0.25, seed=1), threads=1))
    assert (out != run(weight=regard.dropout(0.25, seed=2))).any()
    kept = regard.attention(Q * 0, KEY, ones, layout="bhtd", weight=regard.dropout(0.25, seed=1))
    assert 0.95 < kept.mean() < 1.05 and kept.std() > 0
    np.testing.assert_array_equal(run(weight=regard.dropout(0.0, seed=1)), run())


def test_a_sequence_alone_is_the_sequence_in_a_batch():
    for options in ({"mask": MASKS["documents"][0]}, {"score": SCORES["table"][0]},
                    {"normaliser": "sparsemax"}, {"similarity": "cosine"}):
        both = run(**options)
        one = regard.attention(Q[:1], KEY[:1], VALUE[:1], layout="bhtd", **options)
        np.testing.assert_array_equal(both[:1], one)


def test_nan_at_masked_keys_reaches_nothing():
    k, v = KEY.copy(), VALUE.copy()
    k[:, :, 5::7] = np.nan
    v[:, :, 5::7] = np.inf
    for options in (
        {},
        {"normaliser": "sigmoid"},
        {"normaliser": "entmax15"},
        {"score": SCORES["softcap"][0]},
    ):
        mask = lambda i, j: j % 7 != 5  # noqa: E731
        out = regard.attention(Q, k, v, layout="bhtd", mask=mask, **options)
        np.testing.assert_array_equal(out, run(mask=mask, **options))


def test_an_index_beyond_its_array_is_nan_in_its_row_alone():
    table = normal(4, K)
    out = run(score=lambda s, i, j: s + regard.array(table)(i - (K - T) + j - (T - 1)))
    rows = np.isnan(out).all(axis=(0, 1, 3))
    assert rows.tolist() == [True] * (T - 1) + [False]  # all but the last read a negative index


def test_explain_names_the_program():
    text = regard.explain(
        Q, KEY, VALUE, layout="bhtd", score=lambda s: 30 * np.tanh(s / 30), mask="causal"
    )
    assert "tanh" in text
