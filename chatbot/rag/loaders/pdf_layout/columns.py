"""Rows to blocks in reading order: full-width text, and columns one after the other."""

from itertools import groupby
from statistics import median

from .segments import Row, positions

MAX_LEADING = 2.0  # heights of a line between two lines of a column: a heading may be one of them
MIN_COLUMN_ROWS = 2
MAX_GAPS = 8  # beside the short lines in a gap, that may be a gutter
MAX_ROWS_BELOW = 50  # of text on the left, below columns: it is searched for columns again
MIN_COLUMN_WORDS = 3.0  # words of a line in a column of prose, at the mean
MIN_COLUMN_FILL = 0.6  # share of a column's width that its lines take, at the median
MIN_CELL_RUNS = 4  # of lines on one side, in a table of two rows
MIN_CELL_LINES = 1.5  # of a run, at the mean

Gap = tuple[float, float]  # its left and right edge


def split_into_blocks(rows: list[Row], depth: int) -> list[list[Row]]:
    """Split rows into blocks in reading order: full-width text, and columns one after the other."""
    blocks: list[list[Row]] = []
    spanning: list[Row] = []
    start = 0
    while start < len(rows):
        end, gutter = _zone(rows, start)
        if gutter is None or depth == 0:
            spanning.append(rows[start])
            start += 1
            continue
        sides = _split(rows[start:end], gutter)
        if not _are_columns(sides):
            spanning.extend(rows[start:end])
        else:
            first = _first_above(spanning, sides, gutter)
            sides = _split([*spanning[first:], *rows[start:end]], gutter)
            del spanning[first:]
            if spanning:
                blocks.append(spanning)
                spanning = []
            for side in sides:
                blocks.extend(split_into_blocks(side, depth - 1))
        start = end
    if spanning:
        blocks.append(spanning)
    return blocks


def _zone(rows: list[Row], start: int) -> tuple[int, Gap | None]:
    """Return where the rows end that share a gutter with the row at `start`, and the gutter, if it has one."""
    best: tuple[int, Gap | None] = (start + 1, None)
    for gap in _gaps(rows[start]):
        free = [gap]
        end = start + 1
        while end < len(rows) and (narrowed := _find_free(rows[end], free)):
            free = narrowed
            end += 1
        gutter = free[0] if len(free) == 1 else _choose_gutter(rows[start:end], free)
        end = _end_of_columns(rows, start, end, gutter)
        if end - start >= MIN_COLUMN_ROWS and (best[1] is None or end > best[0]):
            best = (end, gutter)
    return best


def _gaps(row: Row) -> list[Gap]:
    found = []
    reach = row[0].right
    for segment in row[1:]:
        if segment.left > reach:
            found.append((reach, segment.left))
        reach = max(reach, segment.right)
    return found


def _find_free(row: Row, gaps: list[Gap]) -> list[Gap]:
    """Return the parts of gaps that a row leaves free, the widest first: a short line may stand within a gap."""
    for segment in row:
        if any(segment.left < right and segment.right > left for left, right in gaps):
            before = [(left, min(right, segment.left)) for left, right in gaps]
            behind = [(max(left, segment.right), right) for left, right in gaps]
            gaps = sorted((gap for gap in before + behind if gap[0] < gap[1]), key=lambda gap: gap[0] - gap[1])
    return gaps[:MAX_GAPS]


def _choose_gutter(rows: list[Row], gaps: list[Gap]) -> Gap:
    """Return the widest of the gaps in rows, those with their sides in order before others."""
    return next((gap for gap in gaps if _are_in_order(_split(rows, gap))), gaps[0])


def _split(rows: list[Row], gutter: Gap) -> tuple[list[Row], list[Row]]:
    middle = sum(gutter) / 2
    left = [[segment for segment in row if segment.right <= middle] for row in rows]
    right = [[segment for segment in row if segment.right > middle] for row in rows]
    return [row for row in left if row], [row for row in right if row]


def _end_of_columns(rows: list[Row], start: int, end: int, gutter: Gap) -> int:
    """Return where columns end: lines on the left that the page has behind the right column are below both."""
    last_right = max(positions(_split(rows[start:end], gutter)[1]), default=-1)
    last = end
    while last > start + MIN_COLUMN_ROWS and rows[last - 1][-1].right <= gutter[0]:
        if min(positions([rows[last - 1]]), default=-1) < last_right:
            break
        last -= 1
    is_below = end - last <= MAX_ROWS_BELOW and _are_in_order(_split(rows[start:last], gutter))
    return last if is_below else end


def _first_above(rows: list[Row], sides: tuple[list[Row], list[Row]], gutter: Gap) -> int:
    """Return the first of the rows above columns that is in the right one: it may begin higher than the left one."""
    first = len(rows)
    if not _are_in_order(sides):
        return first
    last_left = max(positions(sides[0]))
    below = sides[1][0][0]
    for number in range(len(rows) - 1, -1, -1):
        left, right = _split([rows[number]], gutter)
        is_left_before = max(positions(left), default=0) <= last_left < min(positions(right), default=last_left + 1)
        is_across = any(segment.left < gutter[0] for row in right for segment in row)
        if is_across or not is_left_before:
            break
        if right:
            lowest = right[0][0]
            if below.top - lowest.bottom > MAX_LEADING * (lowest.bottom - lowest.top):
                break
            below = lowest
            first = number
    return first


def _are_columns(sides: tuple[list[Row], list[Row]]) -> bool:
    """Return whether two sides are columns of text rather than cells of rows.

    Columns are written one after the other, or are prose: lines of several words that fill their width.
    """
    left, right = sides
    if min(len(left), len(right)) < MIN_COLUMN_ROWS:
        return False
    return _are_in_order(sides) or (all(map(_is_prose, sides)) and not _are_cells(sides))


def _are_cells(sides: tuple[list[Row], list[Row]]) -> bool:
    """Return whether the page has the sides by turns, row by row of a table: several lines of one cell at a time."""
    lines = [(segment.position or 0, side, segment) for side in (0, 1) for row in sides[side] for segment in row]
    lines.sort(key=lambda line: line[0])
    runs = [[segment.top for _, _, segment in run] for _, run in groupby(lines, key=lambda line: line[1])]
    runs = runs[lines[0][1] :]  # a table's row begins on the left
    if len(runs) < MIN_CELL_RUNS or sum(map(len, runs)) < MIN_CELL_LINES * len(runs):
        return False
    return all(min(below) > max(above) for above, below in zip(runs, runs[2:], strict=False))


def _are_in_order(sides: tuple[list[Row], list[Row]]) -> bool:
    """Return whether the page has all of the left side before the right one."""
    last_left = max(positions(sides[0]), default=None)
    first_right = min(positions(sides[1]), default=None)
    return last_left is not None and first_right is not None and last_left < first_right


def _is_prose(rows: list[Row]) -> bool:
    words = sum(len(segment.words) for row in rows for segment in row) / len(rows)
    edge = min(row[0].left for row in rows)
    width = max(segment.right for row in rows for segment in row) - edge
    fills = [sum(segment.right - segment.left for segment in row) for row in rows]
    return words >= MIN_COLUMN_WORDS and median(fills) >= MIN_COLUMN_FILL * width
