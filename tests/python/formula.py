"""What the tests compare with: the formula in float64, and random problems."""

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


def assert_close(out, expected):
    """Each row [..., dim] within ACCURACY of its own norm."""
    assert out.shape == expected.shape and out.dtype == np.float32
    error = np.linalg.norm(out - expected, axis=-1)
    np.testing.assert_array_less(error, ACCURACY * np.linalg.norm(expected, axis=-1) + 1e-30)


def assert_lse_close(lse, expected):
    assert lse.shape == expected.shape and lse.dtype == np.float32
    np.testing.assert_allclose(lse, expected, rtol=1e-6, atol=2e-6)
