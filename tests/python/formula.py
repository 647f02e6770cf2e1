"""What the tests compare with: the formula in float64, and random problems."""

from types import SimpleNamespace

import numpy as np

ACCURACY = 2e-6  # of each row's norm, on unit-normal numbers


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def problem(tokens, keys, heads=1, kv_heads=1, dim=16, dim_v=16, seed=1):
    """q, k, v in the layout "thd"."""
    return (normal(seed, tokens, heads, dim), normal(seed + 1, keys, kv_heads, dim),
            normal(seed + 2, keys, kv_heads, dim_v))


def allowed(tokens, keys, mask):
    """[tokens, keys], true where row i may use key j."""
    i, j = np.ogrid[:tokens, :keys]
    return {"full": j >= 0, "causal": j <= keys - tokens + i, "top_left": j <= i}[mask]


def formula(q, k, v, mask="full", scale=None):
    """out and lse of one sequence in the layout "thd", in float64."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    tokens, heads, dim = q.shape
    keys, kv_heads, dim_v = v.shape
    scale = 1 / np.sqrt(max(dim, 1)) if scale is None else scale
    out, lse = np.zeros((tokens, heads, dim_v)), np.full((tokens, heads), -np.inf)
    where = allowed(tokens, keys, mask) & np.ones((tokens, keys), bool)
    for h in range(heads):
        g = h // (heads // kv_heads)
        for i in np.flatnonzero(where.any(axis=1)):
            scores = scale * (k[where[i], g] @ q[i, h])
            powers = np.exp(scores - scores.max())
            out[i, h] = powers @ v[where[i], g] / powers.sum()
            lse[i, h] = scores.max() + np.log(powers.sum())
    return out, lse


def dense(q, k, v, mask=None, score=None, normaliser="softmax", scale=None, sinks=None):
    """Everything about a batch in the layout "bhtd", in float64, by matrices.

    mask(b, h, i, j) and score(s, b, h, i, j) are functions of arrays, i being keys - tokens + row.
    """
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    b, h, i, j = np.ogrid[:q.shape[0], :q.shape[1], :q.shape[2], :k.shape[2]]
    i = i + k.shape[2] - q.shape[2]
    result = SimpleNamespace()
    result.similarities = np.einsum("bhid,bhjd->bhij", q, k) * (
        1 / np.sqrt(q.shape[3]) if scale is None else scale)
    s = result.similarities
    result.scores = s if score is None else np.broadcast_to(score(s, b, h, i, j), s.shape)
    allowed = np.broadcast_to(True if mask is None else mask(b, h, i, j), s.shape)
    result.masked = s = np.where(allowed, result.scores, -np.inf)
    with np.errstate(all="ignore"):
        result.lse = np.log(np.exp(s).sum(axis=-1))
        total = np.exp(s).sum(axis=-1, keepdims=True)
        if sinks is not None:
            total = total + np.exp(np.asarray(sinks, np.float64)).reshape(1, -1, 1, 1)
        p = {"softmax": lambda: np.exp(s) / total, "sigmoid": lambda: 1 / (1 + np.exp(-s)),
             "relu": lambda: np.maximum(s, 0) / np.maximum(s, 0).sum(axis=-1, keepdims=True)}
        result.weights = np.where(allowed, np.nan_to_num(p[normaliser]()), 0)
        result.entropy = -np.nan_to_num(result.weights * np.log(result.weights)).sum(axis=-1)
    result.out = np.einsum("bhij,bhjd->bhid", result.weights, v)
    return result


def assert_close(out, expected):
    """Each row [..., dim] within ACCURACY of its own norm."""
    assert out.shape == expected.shape and out.dtype == np.float32
    error = np.linalg.norm(out - expected, axis=-1)
    np.testing.assert_array_less(error, ACCURACY * np.linalg.norm(expected, axis=-1) + 1e-30)


def assert_lse_close(lse, expected):
    assert lse.shape == expected.shape and lse.dtype == np.float32
    np.testing.assert_allclose(lse, expected, rtol=1e-6, atol=2e-6)
