"""Rows of scores through the operator, in double precision: what several labs begin with."""

from typing import Any

import numpy as np

import regard


def weights_of(scores: np.ndarray, scale: float = 1.0, **options: Any) -> np.ndarray:
    """normalise(scale · scores) of each row, by attention() over values that are unit vectors.

    scores and result [rows, keys], float64: a row is a head with one query, the number 1, and its
    scores are the keys.
    """
    rows, keys = scores.shape
    k = np.ascontiguousarray(scores.T[:, :, None], np.float64)  # [keys, heads, 1]
    v = np.broadcast_to(np.eye(keys)[:, None], (keys, rows, keys))
    return regard.attention(np.ones((1, rows, 1)), k, v, scale=scale, **options)[0]


def entropy_of(scores: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The entropy of each row's weights, nats. scores [rows, keys]"""
    k = np.ascontiguousarray(scores.T[:, :, None], np.float32)
    q = np.ones((1, len(scores), 1), np.float32)
    _, extras = regard.attention(q, k, k, scale=scale, extras=["entropy"])
    return extras.entropy[0].astype(np.float64)


def jacobian_norm(weights: np.ndarray) -> np.ndarray:
    """‖∂p/∂z‖ (Frobenius) of each row, z being the scores. weights [rows, keys]

    With 1 - p_max as the sum of the others: the subtraction itself cancels to nothing.
    """
    others = np.sort(weights, axis=1)[:, :-1]
    top = weights.max(axis=1)
    rest = others.sum(axis=1)
    diagonal = (top * rest) ** 2 + ((others * (1 - others)) ** 2).sum(axis=1)
    squares = (others**2).sum(axis=1)
    apart = 2 * top**2 * squares + squares**2 - (others**4).sum(axis=1)
    return np.sqrt(diagonal + np.maximum(apart, 0))
