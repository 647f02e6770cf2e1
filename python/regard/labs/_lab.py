"""Lab, Check and Context: what a lab says about itself, and what its function is given."""

import math
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from regard.labs import _plot

Kind = Literal["arithmetic", "timing", "training"]

# An effect is shown when it is at least so many times the spread between seeds.
EFFECT_TO_SPREAD = 3.0


@dataclass
class Lab:
    """A claim, how it is measured, and what a page says about it. Texts are Markdown.

    name      as on the command line
    items     the specification's, S0.1 to S4.24
    kind      "arithmetic" (seconds), "timing" (depends on the machine), "training" (minutes)
    question  what a reader may ask himself, two or three sentences
    formula   plain text, one or more lines
    says      what the texts say, in our words
    holds     what holds in truth, where that wording is loose; else ""
    code      a few lines of Python that show it and run by themselves
    more      what to change to see more
    """

    name: str
    items: tuple[str, ...]
    kind: Kind
    title: str
    question: str
    formula: str
    says: str
    code: str
    more: tuple[str, ...]
    holds: str = ""
    run: "Callable[[Context], None] | None" = None

    def runs(self, function: "Callable[[Context], None]") -> "Callable[[Context], None]":
        """Marks the lab's function."""
        self.run = function
        return function


@dataclass(frozen=True)
class Check:
    """One acceptance. measured is a number, or words where numbers would mislead."""

    what: str
    measured: Any
    wanted: str
    passed: bool

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "measured": self.measured, "wanted": self.wanted,
                "pass": self.passed}


@dataclass
class Context:
    """What a lab's function works with: seeds in, checks, numbers and a figure out."""

    lab: Lab
    seed: int = 0
    quick: bool = False
    checks: list[Check] = field(default_factory=list)
    reports: list[tuple[str, Any]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    drawn: Any = None  # matplotlib's Figure
    _told: float = 0.0

    # ---- inputs ----

    @property
    def seeds(self) -> tuple[int, int, int]:
        """Three, the smallest number that shows a spread."""
        return self.seed, self.seed + 1, self.seed + 2

    def rng(self, seed: int | None = None, *parts: int) -> np.random.Generator:
        """Random numbers that depend on the lab, the seed and these parts, and on nothing else."""
        key = zlib.crc32(self.lab.name.encode())
        return np.random.default_rng([self.seed if seed is None else seed, key, *parts])

    def size(self, full: Any, *, quick: Any) -> Any:
        """full, or what --quick does in its place."""
        return quick if self.quick else full

    # ---- acceptances ----

    def check(self, what: str, measured: Any, wanted: str, passed: Any) -> bool:
        """An acceptance in the lab's own words; the others here are made of it."""
        check = Check(what, plain(measured), wanted, bool(passed))
        self.checks.append(check)
        return check.passed

    def near(self, what: str, measured: float, wanted: float, *, within: float) -> bool:
        return self.check(what, measured, f"{text(wanted)} ± {text(within)}",
                          abs(measured - wanted) <= within)

    def at_most(self, what: str, measured: float, limit: float) -> bool:
        return self.check(what, measured, f"≤ {text(limit)}", measured <= limit)

    def at_least(self, what: str, measured: float, limit: float) -> bool:
        return self.check(what, measured, f"≥ {text(limit)}", measured >= limit)

    def equal(self, what: str, measured: Any, wanted: Any) -> bool:
        return self.check(what, measured, text(plain(wanted)), plain(measured) == plain(wanted))

    def effect(self, what: str, larger: Sequence[float], smaller: Sequence[float], *,
               at_least: float = 0.0) -> bool:
        """That larger exceeds smaller, one number a seed in each, by at_least on average and by
        three times the spread: the standard deviation of the differences between seeds."""
        mean, spread = effect_and_spread(larger, smaller)
        shown = mean > 0 and mean >= EFFECT_TO_SPREAD * spread
        wanted = f"≥ {text(EFFECT_TO_SPREAD)} × spread" + (
            f" and ≥ {text(at_least)}" if at_least else "")
        return self.check(f"{what}: effect over {len(larger)} seeds", f"{text(mean)} ± "
                          f"{text(spread)}, {'shown' if shown else 'not shown'}", wanted,
                          shown and mean >= at_least)

    # ---- what is told without a threshold ----

    def report(self, what: str, value: Any) -> None:
        """A measured value for the reader."""
        self.reports.append((what, plain(value)))

    def number(self, name: str, value: Any) -> None:
        """The figure's data, for numbers.json."""
        self.numbers[name] = plain(value)

    def progress(self, message: str) -> None:
        """To stderr: a line that is rewritten on a terminal, elsewhere one every ten seconds."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{self.lab.name}: {message}")
            sys.stderr.flush()
        elif time.monotonic() - self._told > 10 or self._told == 0:
            self._told = time.monotonic()
            print(f"{self.lab.name}: {message}", file=sys.stderr, flush=True)

    # ---- the figure ----

    def figure(self, columns: int = 1, rows: int = 1, **options: Any) -> Any:
        """Axes of the lab's one figure: one, or an array of them."""
        self.drawn, axes = _plot.figure(columns, rows, **options)
        return axes

    label = staticmethod(_plot.label)
    heat = staticmethod(_plot.heat)

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


def effect_and_spread(larger: Sequence[float], smaller: Sequence[float]) -> tuple[float, float]:
    """The mean of the differences, a seed each, and their standard deviation."""
    differences = np.asarray(larger, np.float64) - np.asarray(smaller, np.float64)
    if differences.ndim != 1 or len(differences) < 3:
        raise ValueError(f"effect: differences have shape {differences.shape}; a spread needs one "
                         "number for each of three seeds or more")
    return float(differences.mean()), float(differences.std(ddof=1))


def plain(value: Any) -> Any:
    """As JSON takes it: NumPy's numbers and arrays as Python's, what is no number as a word."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def text(value: Any) -> str:
    """A number with the digits that a reader wants, words as they are."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"
