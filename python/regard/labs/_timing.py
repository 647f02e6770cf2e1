"""Times of functions that are compared: taken in turns, so that a slow moment hits all of them."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROUNDS = 3  # what a spread is taken over, as seeds are elsewhere


def milliseconds(functions: dict[str, Callable[[], Any]], *, seconds: float) -> dict[str, list[float]]:
    """The median time of each function in each of three rounds; seconds is spent on each in all."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # first calls choose kernels and touch memory
    for _ in range(ROUNDS):
        for name, function in functions.items():
            times: list[float] = []
            until = time.perf_counter() + seconds / ROUNDS
            while len(times) < 3 or time.perf_counter() < until:
                start = time.perf_counter()
                function()
                times.append(time.perf_counter() - start)
            found[name].append(float(np.median(times)) * 1000)
    return found


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of log(values) over log(sizes)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
