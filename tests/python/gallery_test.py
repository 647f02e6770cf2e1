"""Every attention of docs/operator.md's gallery, run as it stands there, against the formula written
out in NumPy and double precision."""

import pathlib
import re

import numpy as np
import pytest

import regard
from regard import program

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/operator.md"
HEADS, TOKENS, KEYS, DIM, DIM_V = 4, 37, 150, 24, 16

ENTRY = re.compile(r"^### (.+?)\n(.*?)```python\n(.*?)```", re.MULTILINE | re.DOTALL)
GALLERY = {title: code for title, _, code in
           ENTRY.findall(PAGE.read_text().split("## Gallery", 1)[1])}


def short(title):
    return title.split(" (")[0]


# ---- the formulas: s, allowed and coordinates are [heads, tokens, keys], or broadcast to it ----


class Dense:
    """The scaled products, and where they stand."""

    def __init__(self, q, k, scope):
        self.q, self.k, self.scope = q.astype(np.float64), k.astype(np.float64), scope
        self.i = (KEYS - TOKENS + np.arange(TOKENS))[None, :, None]
        self.j = np.arange(KEYS)[None, None, :]
        self.h = np.arange(HEADS)[:, None, None]
        self.dot = np.einsum("thd,khd->htk", self.q, self.k)
        self.s = self.dot / np.sqrt(DIM)
        self.causal = self.j <= self.i


def softmax(s, allowed=True, sinks=None):
    s = np.where(allowed, s, -np.inf)
    top = s.max(-1, keepdims=True)
    p = np.exp(s - np.where(np.isinf(top), 0, top))
    total = p.sum(-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks - top)
    return p / np.where(total == 0, 1, total)


def threshold(s, allowed, power):
    """max(s - t, 0)^power with the t for which each row's sum is 1, by bisection."""
    s = np.where(allowed, s, -np.inf)
    top = s.max(-1, keepdims=True)
    low, high = top - 1, top
    for _ in range(80):
        middle = (low + high) / 2
        too_much = (np.maximum(s - middle, 0) ** power).sum(-1, keepdims=True) > 1
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    return np.maximum(s - low, 0) ** power


def natten(d, kernel):
    first = np.clip(d.i - kernel // 2, 0, KEYS - kernel)
    return (d.j >= first) & (d.j < first + kernel)


def tree(d):
    words, first = d.scope["words"], KEYS - TOKENS
    draft = np.maximum(d.j - first, 0)
    seen = (words[:, 0][None, :, None] >> np.minimum(draft, 31)) & 1 == 1
    return (d.j < first) | ((draft < 32) & seen)


def t5(d):
    ahead = d.j - d.i
    far = np.abs(ahead)
    beyond = 8 + (np.log(np.maximum(far, 1) / 8) / np.log(128 / 8) * 8 + 1e-9).astype(int)
    bucket = np.where(far < 8, far, np.minimum(beyond, 15)) + np.where(ahead > 0, 16, 0)
    return d.dot + d.scope["table"].astype(np.float64)[bucket, d.h]


def shaw(d):
    at = np.clip(d.i - d.j, -16, 16) + 16
    return d.s + np.einsum("thd,rd->htr", d.q, d.scope["relative"].astype(np.float64))[
        d.h, np.arange(TOKENS)[None, :, None], at] / np.sqrt(DIM)


def noise(expr, d):
    return program.evaluate(expr, head=d.h, i=d.i, j=d.j)


FORMULAS = {
    "Scaled dot product": lambda d: softmax(d.s),
    "Causal": lambda d: softmax(d.s, d.causal),
    "Sliding window": lambda d: softmax(d.s, d.causal & (d.i - d.j < 64)),
    "Prefix language model": lambda d: softmax(d.s, (d.j < 40) | d.causal),
    "Packed documents": lambda d: softmax(d.s, d.causal & (d.i // 25 == d.j // 25)),
    "Global and local": lambda d: softmax(d.s, (abs(d.i - d.j) <= 16) | (d.i < 4) | (d.j < 4)),
    "Dilated window": lambda d: softmax(
        d.s, d.causal & (d.i - d.j < 96) & ((d.i - d.j) % 3 == 0)),
    "Block-sparse": lambda d: softmax(d.s, d.scope["blocks"][d.i // 32, d.j // 32]),
    "Chunked": lambda d: softmax(d.s, d.causal & (d.i // 48 == d.j // 48)),
    "Neighbourhood": lambda d: softmax(d.s, natten(d, 7)),
    "Tree of drafts": lambda d: softmax(d.s, tree(d)),
    "ALiBi": lambda d: softmax(d.s - 2.0 ** (-8 * (d.h + 1) / HEADS) * (d.i - d.j), d.causal),
    "Relative position buckets": lambda d: softmax(t5(d)),
    "Relative keys": lambda d: softmax(shaw(d)),
    "Logarithmic distance": lambda d: softmax(
        d.s - 0.7 * np.log(1 + 0.3 * abs(d.i - d.j)), d.causal),
    "Soft cap": lambda d: softmax(5 * np.tanh(d.s / 5), d.causal),
    "Forgetting": lambda d: softmax(d.s + np.cumsum(np.log(d.scope["gates"]), 1)[d.h, d.i] -
                                    np.cumsum(np.log(d.scope["gates"]), 1)[d.h, d.j], d.causal),
    "Attention sinks": lambda d: softmax(
        d.s, d.causal & ((d.i - d.j < 64) | (d.j < 4)), np.linspace(-1, 1, HEADS)[:, None, None]),
    "Sigmoid": lambda d: np.where(d.causal, 1 / (1 + np.exp(np.log(KEYS) - d.s)), 0),
    "Sparsemax": lambda d: threshold(d.s, True, 1),
    "Entmax": lambda d: threshold(d.s / 2, d.causal, 2),
    "Gumbel-softmax": lambda d: softmax((d.s + noise(program.gumbel_noise(7), d)) / 0.5),
    "Cosine with a temperature": lambda d: softmax(10 * d.dot / np.einsum(
        "th,kh->htk", np.linalg.norm(d.q, axis=-1), np.linalg.norm(d.k, axis=-1))),
    "Kernel smoothing": lambda d: softmax(-np.square(
        d.q.transpose(1, 0, 2)[:, :, None] - d.k.transpose(1, 0, 2)[:, None]).sum(-1)
        / (2 * np.sqrt(DIM))),
    "Additive": lambda d: softmax(np.tanh(
        d.q.transpose(1, 0, 2)[:, :, None] + d.k.transpose(1, 0, 2)[:, None]) @ d.scope["v_a"]),
    "Dropout on weights": lambda d: softmax(d.s, d.causal) * np.where(
        noise(program.uniform(3), d) >= 0.25, 1 / 0.75, 0),
}


def test_every_entry_has_a_formula():
    assert {short(title) for title in GALLERY} == set(FORMULAS)
    assert len(GALLERY) >= 20


@pytest.mark.parametrize("title", GALLERY, ids=short)
def test_gallery(title):
    rng = np.random.default_rng(0)
    q = rng.standard_normal((TOKENS, HEADS, DIM), dtype=np.float32)
    k = rng.standard_normal((KEYS, HEADS, DIM), dtype=np.float32)
    v = rng.standard_normal((KEYS, HEADS, DIM_V), dtype=np.float32)
    scope = {"np": np, "regard": regard, "program": program, "q": q, "heads": HEADS,
             "tokens": TOKENS, "keys": KEYS}
    exec(compile(GALLERY[title], f"{PAGE.name}: {title}", "exec"), scope)  # noqa: S102
    out = regard.attention(q, k, v, **scope["options"])
    wanted = np.einsum("htk,khd->thd", FORMULAS[short(title)](Dense(q, k, scope)),
                       v.astype(np.float64))
    error = np.linalg.norm(out - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1)
    assert error.max() < 1e-5
