"""Comparison of the times of actions with secret outcomes."""

import itertools
import random
import statistics
import time
from collections.abc import Callable, Mapping


def find_furthest_pair(cases: Mapping[str, Callable[[], object]], tries: int) -> tuple[str, str, float] | None:
    """Time each action in random order; return a pair with an AUC beyond three standard errors, or None."""
    one, other, errors = measure_furthest_pair(cases, tries)
    return (one, other, errors) if abs(errors) > 3 else None


def measure_furthest_pair(cases: Mapping[str, Callable[[], object]], tries: int) -> tuple[str, str, float]:
    """Time each action in random order; return the pair with the AUC furthest from .5, and its standard errors."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(tries):
        for name in random.sample(sorted(cases), len(cases)):
            started = time.perf_counter()
            cases[name]()
            times[name].append(time.perf_counter() - started)
    standard_error = ((2 * tries + 1) / (12 * tries**2)) ** 0.5  # of two equal samples' AUC (Mann and Whitney, 1947)
    found = []
    for one, other in itertools.combinations(cases, 2):
        auc = statistics.mean((a > b) + (a == b) / 2 for a in times[one] for b in times[other])
        found.append((one, other, (auc - 0.5) / standard_error))
    return max(found, key=lambda pair: abs(pair[2]))
