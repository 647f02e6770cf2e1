"""The story that the labs tell, in the order of the five texts, and where each lab is found."""

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from regard.labs._lab import Lab


@dataclass(frozen=True)
class Chapter:
    title: str
    story: str
    labs: tuple[str, ...]


CHAPTERS = (
    Chapter(
        "From one vector to attention",
        "An encoder that reads a sentence token by token has to leave all of it in one vector, and "
        "what it read first is the first to fade. Letting every position ask every other removes "
        "that vector. A few demands are enough to arrive at a formula: the result may not depend on "
        "the order of what is asked, the weight of a pair comes from the pair alone, and all of it "
        "has to be a handful of matrix products.",
        ("bottleneck", "rnn-grad", "deep-sets", "variants", "depth", "scorer-cost", "softmax",
         "gumbel", "permute")),
    Chapter(
        "Soft retrieval, its geometry and its scale",
        "Seen from another side, attention is a look-up table whose keys need not match exactly, or "
        "a kernel smoother that learns its kernel. What is looked for and what is handed over are "
        "chosen apart, several times side by side. And the scores grow with the number of their "
        "terms, which is why they are divided before anything learns.",
        ("lookup", "kernel", "qk-svd", "what-where", "heads", "induction", "variance",
         "temperature", "entropy", "lr-transfer", "efficient")),
    Chapter(
        "What stands around it",
        "Between the formula and a network that trains and serves lie sums that pass an input on, "
        "norms that keep its size, masks that keep documents apart, caches that keep what was "
        "computed, and a memory that is slower than arithmetic. Each changes the cost or the "
        "gradients; none changes what attention means, and a weight is still no explanation.",
        ("fixed-length", "embeddings", "saturation", "residual", "norms", "preln", "packing",
         "ragged-decode", "kv-cache", "roofline", "scaling-n", "flash-io", "rope",
         "not-an-explanation")),
    Chapter(
        "Where it is weak",
        "A flat sequence of tokens has no tree in it, and a model that is right where it was "
        "trained may be just as sure where it is wrong.",
        ("trees", "calibration")),
    Chapter(
        "What an essay claims",
        "That words negotiate their meaning, that order is injected and then learned or ignored, "
        "that heads specialise, that the same operation reads images, and that more of it is "
        "better: each can be tried on a small scale.",
        ("context", "position-use", "probe", "patches", "scaling-law")),
)


def names() -> list[str]:
    """The labs that there are, in the story's order."""
    there = {module.name.replace("_", "-")
             for module in pkgutil.iter_modules([str(Path(__file__).parent)])
             if not module.name.startswith("_")}
    told = [name for chapter in CHAPTERS for name in chapter.labs]
    return [name for name in told if name in there] + sorted(there - set(told))


def find(name: str) -> Lab:
    """The lab of that name. Raises KeyError, which says what is near."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "all"], 1)
        raise KeyError(f"unknown lab {name!r}; " + (
            f"did you mean {near[0]!r}?" if near else "regard lab --list names them"))
    return importlib.import_module(f"regard.labs.{name.replace('-', '_')}").LAB
