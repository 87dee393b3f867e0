"""Heads and feet of PDF pages."""

from .notes import is_note
from .segments import Row, positions
from .spacing import find_distances, find_usual_distance

MIN_GAP = 1.8  # distances of lines between the body and its head or foot
MIN_ROWS = 5
MAX_ROWS_BESIDE = 3  # of the body, whose edges are compared with those of a head or foot
EDGE_TOLERANCE = 1.0  # points


def part_margins(rows: list[Row], height: float) -> tuple[list[Row], list[Row], list[Row]]:
    """Return a page's head, body and foot: a head or foot is a row that is set apart, before or behind the body."""
    if len(rows) < MIN_ROWS:
        return [], rows, []
    distances = find_distances(rows)
    least = MIN_GAP * find_usual_distance(rows)
    first = 0
    last = len(rows)
    if distances[0] > least and _is_margin(rows[0], rows[1:]):
        first = 1
    if distances[-1] > least and _is_margin(rows[-1], rows[-2::-1]) and not is_note(rows[-1], height):
        last -= 1
    return rows[:first], rows[first:last], rows[last:]


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
