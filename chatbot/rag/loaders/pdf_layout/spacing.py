"""Distances between the rows of a PDF page."""

from itertools import pairwise
from statistics import median

from .segments import Row

MAX_ROWS_BETWEEN = 8  # of other cells, between two lines of one


def find_distances(rows: list[Row]) -> list[float]:
    """Return the distance of each row but the first to the one above it."""
    return [_middle(below) - _middle(above) for above, below in pairwise(rows)]


def find_usual_distance(rows: list[Row]) -> float:
    """Return the distance of a row to the last one that it is below, at the median; 0 where none is below another.

    The lines of a cell or a column may be beside those of another.
    """
    return median(_distances_in_columns(rows) or [0.0])


def _distances_in_columns(rows: list[Row]) -> list[float]:
    found = []
    for number, row in enumerate(rows):
        left = row[0].left
        right = max(segment.right for segment in row)
        for above in reversed(rows[max(0, number - MAX_ROWS_BETWEEN) : number]):
            if any(segment.left < right and segment.right > left for segment in above):
                found.append(_middle(row) - _middle(above))
                break
    return found


def _middle(row: Row) -> float:
    return (row[0].top + row[0].bottom) / 2
