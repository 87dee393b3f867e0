"""Heads and feet of PDF pages."""

from .notes import is_note
from .segments import Row, positions
from .spacing import find_distances, find_usual_distance

MIN_GAP = 1.8  # distances of lines between the body and its head or foot
MIN_ROWS = 5
MAX_ROWS = 2  # of a head or foot
MAX_ROWS_BESIDE = 3  # of the body, whose edges are compared with those of a head or foot
EDGE_TOLERANCE = 1.0  # points


def part_margins(rows: list[Row], height: float) -> tuple[list[Row], list[Row], list[Row]]:
    """Return a page's head, body and foot: a head or foot is one or two rows set apart, before or behind the body."""
    if len(rows) < MIN_ROWS:
        return [], rows, []
    distances = find_distances(rows)
    least = MIN_GAP * find_usual_distance(rows)
    first = _count_rows(rows, distances, least)
    last = len(rows) - _count_rows(rows[::-1], distances[::-1], least)
    if last < len(rows) and is_note(rows[last], height):
        last = len(rows)
    return rows[:first], rows[first:last], rows[last:]


def _count_rows(rows: list[Row], distances: list[float], least: float) -> int:
    """Return the number of rows in a head; the nearest rows to the page's edge are first."""
    for count in range(1, MAX_ROWS + 1):
        if distances[count - 1] > least:
            return count if all(_is_margin(row, rows[count:]) for row in rows[:count]) else 0
    return 0


def _is_margin(row: Row, body: list[Row]) -> bool:
    """Return whether a row may be a head or foot, and not a line of a column: the nearest rows of `body` are first."""
    edges = sorted(segment.left for one in body[:MAX_ROWS_BESIDE] for segment in one)
    begins_column = any(
        abs(segment.left - edge) < EDGE_TOLERANCE and edge > edges[0] + EDGE_TOLERANCE
        for segment in row
        for edge in edges
    )
    return not begins_column and not _is_within(row, body[:-1])


def _is_within(row: Row, body: list[Row]) -> bool:
    """Return whether the page has a row between others, in its own order."""
    own = list(positions([row]))
    others = list(positions(body))
    return bool(own and others) and min(others) < max(own) and min(own) < max(others)
