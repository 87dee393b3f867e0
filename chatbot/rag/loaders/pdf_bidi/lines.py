"""Lines of a page, and their words in logical order."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from .brackets import turn_brackets
from .glyphs import RIGHT_TO_LEFT, Glyph, Line, order_from_right
from .order import order


def find_lines(count: int, read_glyph: Callable[[int], Glyph | None]) -> Iterator[Line]:
    """Yield the lines of a page with so many characters; `read_glyph` returns the one at a position, if it is drawn."""
    line: Line | None = None
    for number in range(count):
        glyph = read_glyph(number)
        if glyph is None or (line is not None and line.merges(glyph)):
            continue
        if line is not None and not line.accepts(glyph):
            line.end = number
            line.turn_ligatures()
            yield line
            line = None
        if line is None:
            line = Line([], glyph.top, glyph.bottom, start=number, end=count)
        line.add(glyph)
    if line is not None:
        line.turn_ligatures()
        yield line


def read_line(line: Line, blanks: Iterable[float], is_page_from_right: bool) -> tuple[bool, list[list[Glyph]]]:
    """Return whether a line is from right to left, and the words of its cells in their order, each as one glyph.

    `blanks` are the left edges of those that are drawn without a width. A line has the direction of most of its words,
    unless its page is from right to left.
    """
    cells = order_from_right(line, blanks)
    is_from_right = is_page_from_right or _is_from_right(cells)
    words = [_read_words(cell, is_from_right) for cell in cells]
    return is_from_right, words if is_from_right else words[::-1]


def _read_words(cell: list[Glyph], is_from_right: bool) -> list[Glyph]:
    words = _split_into_words(order(cell, is_from_right))
    texts = turn_brackets(["".join(glyph.text for glyph in word) for word in words])
    return [_union(word, text) for word, text in zip(words, texts, strict=True)]


def _is_from_right(cells: list[list[Glyph]]) -> bool:
    balance = 0
    for word in (word for cell in cells for word in _split_into_words(cell)):
        if any(RIGHT_TO_LEFT.search(glyph.text) for glyph in word):
            balance += 1
        elif any(glyph.text.isalpha() for glyph in word):
            balance -= 1
    return balance > 0


def _split_into_words(glyphs: list[Glyph]) -> list[list[Glyph]]:
    return [list(word) for is_blank, word in groupby(glyphs, key=lambda one: one.text.isspace()) if not is_blank]


def _union(word: list[Glyph], text: str) -> Glyph:
    return Glyph(
        text,
        left=min(glyph.left for glyph in word),
        top=min(glyph.top for glyph in word),
        right=max(glyph.right for glyph in word),
        bottom=max(glyph.bottom for glyph in word),
    )
