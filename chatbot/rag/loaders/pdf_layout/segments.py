"""Segments of lines, and the rows that they form."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatbot.rag.loaders.pdf_words import Word

SEGMENT_GAP = 1.0  # heights of a line between two words that are one segment, at most
BULLETS = frozenset("\u2022\u2023\u25aa\u25ab\u25cb\u25cf\u25e6\u25a0")
ROW_OVERLAP = 0.5  # share of a line's height by which two segments of one row overlap, at least


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
        return " ".join([word.text for word in self.words])


Row = list[Segment]


def find_segments(words: Iterable[Word]) -> list[Segment]:
    """Return the segments that words form, in the page's own order."""
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
    if word.is_value or not is_beside(last, word):
        return False
    if word.goes_on:
        return True
    gap = max(word.left - last.right, last.left - word.right)
    height = max(last.bottom - last.top, word.bottom - word.top)
    return gap < SEGMENT_GAP * height


def find_rows(segments: list[Segment]) -> list[Row]:
    """Return the segments by rows, the uppermost first, each from left to right."""
    rows: list[Row] = []
    tallest: Segment | None = None  # of the last row; with any other, close lines would be one row
    for segment in sorted(segments, key=lambda one: (one.top + one.bottom) / 2):
        if tallest is not None and is_beside(tallest, segment):
            rows[-1].append(segment)
            if segment.bottom - segment.top > tallest.bottom - tallest.top:
                tallest = segment
        else:
            rows.append([segment])
            tallest = segment
    for row in rows:
        row.sort(key=lambda one: one.left)
    return rows


def build_segment(words: list[Word], position: int | None) -> Segment:
    """Return the segment of words of one line."""
    return Segment(
        words,
        position,
        left=min(word.left for word in words),
        top=min(word.top for word in words),
        right=max(word.right for word in words),
        bottom=max(word.bottom for word in words),
    )


def is_beside(one: Word | Segment, other: Word | Segment) -> bool:
    """Return whether two boxes are on one line."""
    overlap = min(one.bottom, other.bottom) - max(one.top, other.top)
    return overlap >= ROW_OVERLAP * min(one.bottom - one.top, other.bottom - other.top)


def positions(rows: list[Row]) -> Iterator[int]:
    """Yield the positions of the segments that have one, but not of bullets: WeasyPrint has them behind all text."""
    return (
        segment.position
        for row in rows
        for segment in row
        if segment.position is not None and segment.text not in BULLETS
    )
