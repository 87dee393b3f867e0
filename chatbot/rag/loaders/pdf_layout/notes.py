"""Notes at the foot of a page or column, within a sentence that goes on in the next one."""

import re
from statistics import median

from .segments import Row

MAX_NOTE_SIZE = 0.93  # of the height of the page's lines
MARK = re.compile(r"\[?(?:\d{1,3}|[a-z]\b|[*\u2020\u2021\u00a7]{1,3})\W{0,3}[^\W\d_]")
GLUED_MARK = re.compile(r"^\d{1,3}(?=[^\W\d_a-z])")
SENTENCE_END = re.compile("[.!?\u2026:;\u3002\uff01\uff1f\u061f\u06d4\u0964][\"')\\]\u201d\u2019\u00bb\u300d]{0,2}$")


def find_height(rows: list[Row]) -> float:
    """Return the height of a page's lines, at the median."""
    return median(map(_height, rows)) if rows else 0.0


def find_notes(rows: list[Row], height: float) -> tuple[int, int]:
    """Return where the notes below a text of that height begin and end; a page's number may be below them."""
    end = len(rows)
    if end > 1 and not _is_small(rows[-1], height):
        end -= 1
    first = start = end
    while start > 1 and _is_small(rows[start - 1], height):
        start -= 1
        if is_note(rows[start], height):
            first = start
    return (first, end) if first < end else (len(rows), len(rows))


def is_note(row: Row, height: float) -> bool:
    """Return whether a row is the first one of a note below a text of that height."""
    return _is_small(row, height) and MARK.match(" ".join(segment.text for segment in row)) is not None


def part_marks(notes: list[Row]) -> None:
    """Put a space between the raised number of a note and its first word, which pdfium has as one word."""
    for row in notes:
        word = row[0].words[0]
        word.text = GLUED_MARK.sub(lambda mark: f"{mark[0]} ", word.text)


def _is_small(row: Row, height: float) -> bool:
    return _height(row) <= MAX_NOTE_SIZE * height


def _height(row: Row) -> float:
    return median(word.bottom - word.top for segment in row for word in segment.words)
