"""Latencies in bins, from which percentiles of any number of turns are added up.

From 200 ms on a bin is at most a twentieth as wide as its latencies: its middle is at most 2.5 % away from them.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

# Bins of the second number of milliseconds up to the first one, which it divides.
BINS = ((200, 4), (500, 10), (1_000, 20), (2_000, 50), (5_000, 100), (10_000, 200), (20_000, 500), (50_000, 1_000))
LAST_WIDTH = 2_500
# The first milliseconds of the bins in front of those of the last width.
BIN_STARTS = tuple(
    first for (start, _), (end, width) in pairwise(((0, 0), *BINS)) for first in range(start, end, width)
)
LAST_BINS_START = BINS[-1][0]
PACKED = [("bin", "<u4"), ("count", "<u4")]  # of numpy: the place of a bin in the order of all, and its latencies


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The 50th and the 95th percentile of milliseconds, None of nothing."""

    p50: int | None = None
    p95: int | None = None


def select_bin(milliseconds: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[Any]:
    """Return the expression of the first millisecond of a latency's bin, NULL of NULL."""
    bins = [(milliseconds < end, milliseconds // width * width) for end, width in BINS]
    return sa.case(*bins, else_=milliseconds // LAST_WIDTH * LAST_WIDTH)


def pack(counts: Mapping[int, int]) -> bytes:
    """Return counts by the first milliseconds of their bins as bytes, eight for each bin."""
    import numpy as np

    return np.array([(_to_bin(first), count) for first, count in counts.items()], dtype=PACKED).tobytes()


def add_up(packed: Sequence[tuple[Hashable, bytes]]) -> dict[Any, Counter[int]]:
    """Add packed counts up by their keys; at once, since a month has some hundred thousand bins."""
    import numpy as np

    found: defaultdict[Any, Counter[int]] = defaultdict(Counter)
    numbers: dict[Hashable, int] = {}
    places = [numbers.setdefault(key, len(numbers)) for key, _ in packed]
    keys = list(numbers)
    bins = np.frombuffer(b"".join(content for _, content in packed), dtype=PACKED)
    lengths = [len(content) // bins.itemsize for _, content in packed]
    width = int(bins["bin"].max(initial=0)) + 1
    cells = np.repeat(np.array(places, dtype=np.int64), lengths) * width + bins["bin"]
    sums = np.bincount(cells, weights=bins["count"], minlength=1)
    filled = np.flatnonzero(sums)
    firsts = [_to_first(place) for place in range(width)]
    for cell, count in zip(filled.tolist(), sums[filled].astype(np.int64).tolist(), strict=True):
        found[keys[cell // width]][firsts[cell % width]] = count
    return found


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


def _to_bin(first: int) -> int:
    """Return the place of a bin in the order of all of them."""
    if first >= LAST_BINS_START:
        return len(BIN_STARTS) + (first - LAST_BINS_START) // LAST_WIDTH
    return bisect_left(BIN_STARTS, first)


def _to_first(place: int) -> int:
    """Return the first millisecond of the bin at a place."""
    return BIN_STARTS[place] if place < len(BIN_STARTS) else LAST_BINS_START + (place - len(BIN_STARTS)) * LAST_WIDTH
