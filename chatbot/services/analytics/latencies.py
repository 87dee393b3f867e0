"""Latencies in bins, from which percentiles of any number of turns are added up.

From 200 ms on a bin is at most a twentieth as wide as its latencies: its middle is at most 2.5 % away from them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

# Bins of the second number of milliseconds up to the first one, which it divides.
BINS = ((200, 4), (500, 10), (1_000, 20), (2_000, 50), (5_000, 100), (10_000, 200), (20_000, 500), (50_000, 1_000))
LAST_WIDTH = 2_500


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The 50th and the 95th percentile of milliseconds, None of nothing."""

    p50: int | None = None
    p95: int | None = None


def select_bin(milliseconds: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[Any]:
    """Return the expression of the first millisecond of a latency's bin, NULL of NULL."""
    bins = [(milliseconds < end, milliseconds // width * width) for end, width in BINS]
    return sa.case(*bins, else_=milliseconds // LAST_WIDTH * LAST_WIDTH)


def find_percentiles(counts: Mapping[int, int]) -> Percentiles:
    """Return the percentiles of latencies that are counted by the first milliseconds of their bins (nearest rank)."""
    total = sum(counts.values())
    if not total:
        return Percentiles()
    ordered = sorted(Counter(counts).items())
    return Percentiles(*(_find(ordered, -(-total * share // 100)) for share in (50, 95)))


def _find(ordered: list[tuple[int, int]], rank: int) -> int:
    """Return the middle of the bin with the latency of a rank, counted from one."""
    for first, number in ordered:
        rank -= number
        if rank <= 0:
            return first + _find_width(first) // 2
    raise ValueError("The rank is behind the last one.")


def _find_width(first: int) -> int:
    return next((width for end, width in BINS if first < end), LAST_WIDTH)
