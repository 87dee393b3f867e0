"""Cells of tables with several lines."""

from collections.abc import Iterator
from itertools import chain, pairwise

from chatbot.rag.loaders.pdf_bidi.glyphs import RIGHT_TO_LEFT

from .segments import Row, Segment

MAX_LEADING = 1.0  # heights of a line between two lines of a cell
MAX_INDENT = 2.0  # heights of a line, of a line in a cell


def find_rows_below(rows: list[Row], paragraphs: set[int]) -> dict[int, int]:
    """Return the number of the row in which the text of a segment's cell goes on, by the segment's position.

    Producers write a table cell by cell: the next line of a cell follows in the page's own order and is right below.
    """
    places = {segment.position: (number, segment) for number, row in enumerate(rows) for segment in row}
    found = {}
    for position, (number, segment) in places.items():
        if position is None or position + 1 not in places:
            continue
        below, following = places[position + 1]
        if below > number and _is_under(segment, following) and paragraphs.isdisjoint(range(number + 1, below + 1)):
            found[position] = below
    return found


def _is_under(above: Segment, below: Segment) -> bool:
    """Return whether a line may be the next one of a cell: near, with the same left edge, centre or right edge."""
    height = above.bottom - above.top
    left = abs(above.left - below.left)
    right = abs(above.right - below.right)
    centre = abs(above.left + above.right - below.left - below.right) / 2
    edge = right if RIGHT_TO_LEFT.search(below.text) else left
    return below.top - above.bottom < MAX_LEADING * height and (edge < MAX_INDENT * height or centre < height)


def find_spans(rows: list[Row], below: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the beginnings and ends of runs of rows that have cells in common."""
    start = 0
    end = 1
    for number, row in enumerate(rows):
        if number >= end:
            yield start, end
            start = number
        end = max(
            end, number + 1, *(below.get(segment.position, 0) + 1 for segment in row if segment.position is not None)
        )
    yield start, end


def find_cells(rows: list[Row], below: dict[int, int]) -> list[Row] | None:
    """Return the lines of the cells of a table's row, from left to right, or None where rows have no such cells."""
    cells: list[Row] = []
    for segment in sorted(chain.from_iterable(rows), key=lambda one: -1 if one.position is None else one.position):
        if segment.position is not None and segment.position - 1 in below:
            cells[-1].append(segment)
        else:
            cells.append([segment])
    cells.sort(key=lambda cell: min(line.left for line in cell))
    edges = [(min(line.left for line in cell), max(line.right for line in cell)) for cell in cells]
    if len(cells) == 1 or any(left[1] > right[0] + 1 for left, right in pairwise(edges)) or _are_marked(rows, cells):
        return None
    return cells


def _are_marked(rows: list[Row], cells: list[Row]) -> bool:
    """Return whether rows are lines with a mark or a number each, which are written one after the other."""
    has_marks = any(all(len(line.words) == 1 for line in cell) for cell in cells)
    return has_marks and all(len(cell) == len(rows) for cell in cells)


def as_cells(rows: list[Row]) -> list[list[Row]]:
    """Return rows of segments as rows of cells of one line."""
    return [[[segment] for segment in row] for row in rows]
