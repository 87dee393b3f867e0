"""The reading order of a PDF page: words with their boxes to lines, columns and cells.

A recursive X-Y cut (Nagy, Seth and Viswanathan, "A prototype document image analysis system for technical journals",
1992) with one more question: whether text side by side is columns, read one after the other, or cells of a table, read
row by row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chatbot.rag.loaders.pdf_words import Word

from .cells import as_cells, find_cells, find_rows_below, find_spans
from .columns import split_into_blocks
from .initials import join_initials
from .letters import join_spaced_letters
from .lines import regroup
from .margins import part_margins
from .notes import SENTENCE_END, find_height, find_notes, part_marks
from .segments import Row, find_rows, find_segments
from .spacing import find_distances, find_usual_distance

PARAGRAPH_GAP = 1.6  # distances of lines between two paragraphs, at least
MIN_PARAGRAPH_GAP = 1.3  # the same where the gap is also wide: few lines of many paragraphs are at a line's distance
WIDE_GAP = 3.2  # heights of a line
MAX_DEPTH = 40  # columns in columns


@dataclass(frozen=True, slots=True)
class PageText:
    """A page's text, and its notes that stand within a sentence."""

    text: str
    notes: str = ""


def read(words: Iterable[Word]) -> PageText:
    """Return a page's text: a line for each line, an empty one between paragraphs.

    A page from right to left is read as its mirror image: its first column is the right one.
    """
    words = list(words)
    if sum(word.is_from_right for word in words) * 2 > len(words):
        words = [_mirror(word) for word in words]
    rows = find_rows(regroup(join_initials(join_spaced_letters(find_segments(words)))))
    height = find_height(rows)
    lines: list[str] = []
    notes: list[str] = []
    head, body, foot = part_margins(rows, height)
    for block in filter(None, (head, *split_into_blocks(body, MAX_DEPTH), foot)):
        first, end = find_notes(block, height)
        part_marks(block[first:end])
        is_within_sentence = first < end and SENTENCE_END.search(block[first - 1][-1].text) is None
        if is_within_sentence:
            notes.extend(_lines(block[first:end], height))
        for part in filter(None, (block[:first], block[end:]) if is_within_sentence else (block,)):
            lines.extend(_lines(part, height))
            lines.append("")
    return PageText("\n".join(lines).strip("\n"), "\n".join(notes))


def _mirror(word: Word) -> Word:
    return replace(word, left=-word.right, right=-word.left, is_from_right=not word.is_from_right)


def _lines(rows: list[Row], height: float) -> list[str]:
    """Return the rows' texts, with an empty one where the distance to the next is wider than between lines.

    `height` is that of the page's lines.
    """
    usual = find_usual_distance(rows)
    least = min(PARAGRAPH_GAP * usual, max(MIN_PARAGRAPH_GAP * usual, WIDE_GAP * height))
    paragraphs = {number for number, distance in enumerate(find_distances(rows), 1) if distance > least}
    below = find_rows_below(rows, paragraphs)
    lines = []
    for start, end in find_spans(rows, below):
        cells = find_cells(rows[start:end], below)
        for number, line in enumerate([cells] if cells else as_cells(rows[start:end]), start):
            if number in paragraphs:
                lines.append("")
            lines.append(_text(line))
    return lines


def _text(cells: list[Row]) -> str:
    texts = ["\n".join(line.text for line in cell) for cell in cells]
    is_from_right = any(word.is_from_right for cell in cells for line in cell for word in line.words)
    return " ".join(texts[::-1] if is_from_right else texts)
