"""The reading order of a PDF page: words with their boxes to lines, columns and cells.

A recursive X-Y cut (Nagy, Seth and Viswanathan, "A prototype document image analysis system for technical journals",
1992) with one more question: whether text side by side is columns, read one after the other, or cells of a table, read
row by row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from statistics import median

from .pdf_words import RIGHT_TO_LEFT, Word

SEGMENT_GAP = 1.0  # heights of a line between two words that are one segment, at most
ROW_OVERLAP = 0.5  # share of a line's height by which two segments of one row overlap, at least
PARAGRAPH_GAP = 1.6  # distances of lines between two paragraphs, at least
MAX_LEADING = 1.0  # heights of a line between two lines of a cell
MAX_INDENT = 2.0  # heights of a line, of a line in a cell
MIN_COLUMN_ROWS = 2
MIN_COLUMN_WORDS = 3.0  # words of a line in a column of prose, at the mean
MIN_COLUMN_FILL = 0.6  # share of a column's width that its lines take, at the median
MAX_DEPTH = 40  # columns in columns


@dataclass(slots=True)
class Segment:
    """Words of one line without a wide gap, in the order in which the page has them."""

    words: list[Word]
    position: int | None  # in the page's own order
    left: float
    top: float
    right: float
    bottom: float

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(word.text for word in self.words)


Row = list[Segment]


def read(words: Iterable[Word]) -> str:
    """Return a page's text: a line for each line, an empty one between paragraphs."""
    rows = _rows(_segments(words))
    lines: list[str] = []
    for block in _blocks(rows, MAX_DEPTH):
        lines.extend(_lines(block))
        lines.append("")
    return "\n".join(lines).strip("\n")


def _segments(words: Iterable[Word]) -> list[Segment]:
    segments: list[Segment] = []
    for word in words:
        if segments and _continues(segments[-1], word):
            last = segments[-1]
            last.words.append(word)
            last.left = min(last.left, word.left)
            last.top = min(last.top, word.top)
            last.right = max(last.right, word.right)
            last.bottom = max(last.bottom, word.bottom)
        else:
            position = None if word.is_value else len(segments)
            segments.append(Segment([word], position, word.left, word.top, word.right, word.bottom))
    return segments


def _continues(segment: Segment, word: Word) -> bool:
    last = segment.words[-1]
    if word.is_value or not _is_beside(last, word):
        return False
    gap = max(word.left - last.right, last.left - word.right)
    height = max(last.bottom - last.top, word.bottom - word.top)
    return gap < SEGMENT_GAP * height


def _is_beside(one: Word | Segment, other: Word | Segment) -> bool:
    overlap = min(one.bottom, other.bottom) - max(one.top, other.top)
    return overlap >= ROW_OVERLAP * min(one.bottom - one.top, other.bottom - other.top)


def _rows(segments: list[Segment]) -> list[Row]:
    """Return the segments by rows, the uppermost first, each from left to right."""
    rows: list[Row] = []
    tallest: Segment | None = None  # of the last row; with any other, close lines would be one row
    for segment in sorted(segments, key=lambda one: (one.top + one.bottom) / 2):
        if tallest is not None and _is_beside(tallest, segment):
            rows[-1].append(segment)
            if segment.bottom - segment.top > tallest.bottom - tallest.top:
                tallest = segment
        else:
            rows.append([segment])
            tallest = segment
    for row in rows:
        row.sort(key=lambda one: one.left)
    return rows


def _blocks(rows: list[Row], depth: int) -> list[list[Row]]:
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
            if spanning:
                blocks.append(spanning)
                spanning = []
            for side in sides:
                blocks.extend(_blocks(side, depth - 1))
        start = end
    if spanning:
        blocks.append(spanning)
    return blocks


def _zone(rows: list[Row], start: int) -> tuple[int, tuple[float, float] | None]:
    """Return where the rows end that share a gutter with the row at `start`, and the gutter, if it has one."""
    best: tuple[int, tuple[float, float] | None] = (start + 1, None)
    for gutter in _gaps(rows[start]):
        left, right = gutter
        end = start + 1
        while end < len(rows):
            narrowed = _narrow(rows[end], left, right)
            if narrowed is None:
                break
            left, right = narrowed
            end += 1
        if end - start >= MIN_COLUMN_ROWS and (best[1] is None or end > best[0]):
            best = (end, (left, right))
    return best


def _gaps(row: Row) -> list[tuple[float, float]]:
    found = []
    reach = row[0].right
    for segment in row[1:]:
        if segment.left > reach:
            found.append((reach, segment.left))
        reach = max(reach, segment.right)
    return found


def _narrow(row: Row, left: float, right: float) -> tuple[float, float] | None:
    """Return the part of a gutter that a row leaves free, or None when the row crosses it."""
    for segment in row:
        if segment.right <= left or segment.left >= right:
            continue
        if segment.left <= left and segment.right < right:
            left = segment.right
        elif segment.right >= right and segment.left > left:
            right = segment.left
        else:
            return None
    return (left, right) if right - left > 0 else None


def _split(rows: list[Row], gutter: tuple[float, float]) -> tuple[list[Row], list[Row]]:
    middle = sum(gutter) / 2
    left = [[segment for segment in row if segment.right <= middle] for row in rows]
    right = [[segment for segment in row if segment.right > middle] for row in rows]
    return [row for row in left if row], [row for row in right if row]


def _are_columns(sides: tuple[list[Row], list[Row]]) -> bool:
    """Return whether two sides are columns of text rather than cells of rows.

    Columns are written one after the other, or are prose: lines of several words that fill their width.
    """
    left, right = sides
    if min(len(left), len(right)) < MIN_COLUMN_ROWS:
        return False
    last_left = max(_positions(left), default=None)
    first_right = min(_positions(right), default=None)
    if last_left is not None and first_right is not None and last_left < first_right:
        return True
    return all(map(_is_prose, sides))


def _positions(rows: list[Row]) -> Iterator[int]:
    return (segment.position for row in rows for segment in row if segment.position is not None)


def _is_prose(rows: list[Row]) -> bool:
    words = sum(len(segment.words) for row in rows for segment in row) / len(rows)
    edge = min(row[0].left for row in rows)
    width = max(segment.right for row in rows for segment in row) - edge
    fills = [sum(segment.right - segment.left for segment in row) for row in rows]
    return words >= MIN_COLUMN_WORDS and median(fills) >= MIN_COLUMN_FILL * width


def _lines(rows: list[Row]) -> list[str]:
    """Return the rows' texts, with an empty one where the distance to the next is wider than between lines."""
    distances = [_middle(below) - _middle(above) for above, below in pairwise(rows)]
    usual = median(distances) if distances else 0.0
    paragraphs = {number for number, distance in enumerate(distances, 1) if distance > PARAGRAPH_GAP * usual}
    below = _rows_below(rows, paragraphs)
    lines = []
    for start, end in _spans(rows, below):
        cells = _cells(rows[start:end], below)
        for number, line in enumerate([cells] if cells else _as_cells(rows[start:end]), start):
            if number in paragraphs:
                lines.append("")
            lines.append(_text(line))
    return lines


def _middle(row: Row) -> float:
    return (row[0].top + row[0].bottom) / 2


def _rows_below(rows: list[Row], paragraphs: set[int]) -> dict[int, int]:
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


def _spans(rows: list[Row], below: dict[int, int]) -> Iterator[tuple[int, int]]:
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


def _cells(rows: list[Row], below: dict[int, int]) -> list[Row] | None:
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


def _as_cells(rows: list[Row]) -> list[list[Row]]:
    return [[[segment] for segment in row] for row in rows]


def _text(cells: list[Row]) -> str:
    texts = ["\n".join(line.text for line in cell) for cell in cells]
    return " ".join(texts[::-1] if _reads_from_right("".join(texts)) else texts)


def _reads_from_right(text: str) -> bool:
    if not RIGHT_TO_LEFT.search(text):
        return False
    letters = sum(map(str.isalpha, text))
    return len(RIGHT_TO_LEFT.findall(text)) * 2 > letters
