"""Normalisers and similarities: two slots of the operator, by the names that C++ gives them."""

from dataclasses import dataclass
from typing import Any, Literal

from regard import _core
from regard._captured import Array, array
from regard._expr import Expr


@dataclass(frozen=True)
class Normaliser:
    """How scores become weights: regard.softmax() and its kin make one."""

    core: _core.Normaliser
    arrays: tuple[Array, ...] = ()  # what it reads


@dataclass(frozen=True)
class Similarity:
    """How a query and a key become a score: regard.dot() and its kin make one."""

    core: _core.Similarity
    arrays: tuple[Array, ...] = ()


def softmax() -> Normaliser:
    """p = exp(s) / sum exp(s). A score of +inf makes its row NaN."""
    return Normaliser(_core.Normaliser.softmax())


def softmax_with_sink(sink: Any) -> Normaliser:
    """p = exp(s) / (exp(sink) + sum exp(s)): a key that takes weight and gives nothing.

    sink is a number, or real numbers [heads]: attention_backward() gives the gradient of those that
    are regard.array(..., differentiable=True).
    Source: Xiao et al. 2023; learned sinks are gpt-oss's (OpenAI 2025).
    """
    if isinstance(sink, (int, float)):
        return Normaliser(_core.Normaliser.softmax_with_sink(sink))
    sinks = array(sink, "sinks")
    return Normaliser(_core.Normaliser.softmax_with_sinks(sinks._core), (sinks,))


def sigmoid(bias: float = 0.0) -> Normaliser:
    """p = 1 / (1 + exp(-(s + bias))). Source: Ramapuram et al. 2024."""
    return Normaliser(_core.Normaliser.sigmoid(bias))


def relu() -> Normaliser:
    """p = max(s, 0) / sum max(s, 0); a row without a positive score gives zeros."""
    return Normaliser(_core.Normaliser.relu())


def sparsemax() -> Normaliser:
    """The scores' Euclidean projection onto the simplex. Source: Martins and Astudillo 2016."""
    return Normaliser(_core.Normaliser.sparsemax())


def entmax15() -> Normaliser:
    """1.5-entmax, between softmax and sparsemax. Source: Peters et al. 2019."""
    return Normaliser(_core.Normaliser.entmax15())


def hardmax() -> Normaliser:
    """1 for the largest score, the lowest key among equals; its gradient is 0."""
    return Normaliser(_core.Normaliser.hardmax())


def gumbel_softmax(temperature: float, seed: int,
                   sample: Literal["soft", "hard", "straight_through"] = "soft") -> Normaliser:
    """softmax((s + g) / temperature), g Gumbel noise keyed on (seed, sequence, head, i, j).

    sample: the weights ("soft"), 1 for the largest ("hard"), or that with the gradient of the
    weights ("straight_through"). Source: Jang et al. 2017.
    """
    return Normaliser(_core.Normaliser.gumbel_softmax(temperature, seed, sample))


def dot() -> Similarity:
    """q · k; default scale 1/sqrt(dim)."""
    return Similarity(_core.Similarity.dot())


def cosine() -> Similarity:
    """q · k / (|q| |k|), 0 with a zero vector; default scale 1."""
    return Similarity(_core.Similarity.cosine())


def negative_distance() -> Similarity:
    """-|q - k|²; default scale 1/(2 sqrt(dim)), which makes softmax a Gaussian kernel smoother."""
    return Similarity(_core.Similarity.negative_distance())


def bilinear(w: Any) -> Similarity:
    """qᵀ W k; default scale 1/sqrt(dim of k).

    w is real, [dim of q, dim of k] or [heads, dim of q, dim of k].
    Source: Luong et al. 2015, "general".
    """
    w = array(w, "w")
    return Similarity(_core.Similarity.bilinear(w._core), (w,))


def additive(v: Any) -> Similarity:
    """sum of v_d tanh(q_d + k_d), q and k projected already; default scale 1.

    v is real, [dim] or [heads, dim].
    Source: Bahdanau et al. 2015.
    """
    v = array(v, "v")
    return Similarity(_core.Similarity.additive(v._core), (v,))


def dropout(rate: float, seed: int) -> Expr:
    """A weight program that drops each weight with probability rate.

    The others are multiplied by 1 / (1 - rate). Keyed on (seed, sequence, head, i, j): independent
    of threads, tiles and batch.

    Raises ValueError unless rate is in 0 .. 1. Source: Srivastava et al. 2014.
    """
    return Expr(_core.dropout(rate, seed))


_NORMALISERS = {"softmax": softmax, "sigmoid": sigmoid, "relu": relu, "sparsemax": sparsemax,
                "entmax15": entmax15, "hardmax": hardmax}
_SIMILARITIES = {"dot": dot, "cosine": cosine, "negative_distance": negative_distance}


def as_normaliser(value: Any, call: str) -> Normaliser:
    return _slot(value, Normaliser, _NORMALISERS, "normaliser", call)


def as_similarity(value: Any, call: str) -> Similarity:
    return _slot(value, Similarity, _SIMILARITIES, "similarity", call)


def _slot(value: Any, kind: type, words: dict[str, Any], name: str, call: str) -> Any:
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in words:
        return words[value]()
    if isinstance(value, str):
        raise ValueError(f"{call}: {name} is {value!r}, words for one are "
                         f"{', '.join(map(repr, words))}")
    raise TypeError(f"{call}: {name} is a {type(value).__name__}, must be a word such as "
                    f"{next(iter(words))!r} or a regard.{kind.__name__}")
