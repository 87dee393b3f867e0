"""Glyphs of a line with their places, and the blanks between them."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")  # Hebrew, Arabic and their kin
WORD = re.compile(r"[^\W\d_]+")
JOINERS = frozenset("\u200c\u200d")  # which stand at the left edge of the letter before them, and have no width
JOINER_SHIFT = 0.3  # points
BLANK = " "
LAM = "\u0644"  # the first letter of its ligatures with alef
ALEFS = tuple("\u0622\u0623\u0625\u0627\u0671")
# Words that are one character of Unicode (U+FDF2 to U+FDF9, U+FDFC).
WORD_LIGATURES = frozenset(["الله", "اكبر", "محمد", "صلعم", "رسول", "عليه", "وسلم", "صلى", "ریال"])
MIN_CROSSING = 0.5  # of an alef's width, which a ligature's lam covers
SOFT_HYPHEN = "\xad"  # of a word that goes on in the next line
CELL_GAP = 1.0  # heights of a line between two cells, at least
MIN_SPACE = 0.2  # heights of a line between two words
MIN_SPACE_BESIDE_CLUSTER = 0.4  # whose box has no room beside its ink
BLANK_SHIFT = 0.1  # heights of a line from the left edge of a blank without width to its middle


@dataclass(slots=True)
class Glyph:
    """A letter, or the letters of a cluster in their order, and its box; y grows downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    source: int = 0  # the address of the object of text that shows it
    is_cluster: bool = False  # as wide as its ink, and as high as its font
    direction: int = 0  # of writing (`pdf_layout.directions`)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def is_mark(self) -> bool:
        """Whether it stands over or under a letter."""
        return not self.is_cluster and unicodedata.combining(self.text[0]) > 0


@dataclass(slots=True)
class Line:
    """Glyphs on one line, in the order in which pdfium has them."""

    glyphs: list[Glyph]
    top: float
    bottom: float
    start: int  # of its characters in the page's text
    end: int

    def accepts(self, glyph: Glyph) -> bool:
        """Return whether a glyph stands on the line."""
        if glyph.direction != self.glyphs[0].direction:
            return False
        if glyph.top == self.top and glyph.bottom == self.bottom:
            return True
        overlap = min(self.bottom, glyph.bottom) - max(self.top, glyph.top)
        return overlap * 2 >= min(self.bottom - self.top, glyph.bottom - glyph.top)

    def merges(self, glyph: Glyph) -> bool:
        """Add a letter to the last glyph where that draws both, as a ligature, and return whether it does."""
        last = self.glyphs[-1]
        if not glyph.source or glyph.source != last.source or glyph.box != last.box or last.is_cluster:
            return False
        last.text += glyph.text
        return True

    def turn_ligatures(self) -> None:
        """Put the letters of each ligature in their order."""
        for glyph in self.glyphs:
            if len(glyph.text) > 1 and not glyph.is_cluster:
                glyph.text = _turn_ligature(glyph.text)

    def add(self, glyph: Glyph) -> None:
        """Add a glyph, which may be higher or lower than the others."""
        self.glyphs.append(glyph)
        self.top = min(self.top, glyph.top)
        self.bottom = max(self.bottom, glyph.bottom)

    @property
    def text(self) -> str:
        """The letters in no order."""
        return "".join(glyph.text for glyph in self.glyphs)

    def find_within(self, blanks: list[tuple[float, float]]) -> list[float]:
        """Return the left edges of blanks on the line; `blanks` are their heights and edges, sorted."""
        left = min(glyph.left for glyph in self.glyphs)
        right = max(glyph.right for glyph in self.glyphs)
        found = blanks[bisect_left(blanks, (self.top, left)) : bisect_right(blanks, (self.bottom, right))]
        return [edge for _, edge in found if left <= edge <= right]

    def find_height(self) -> float:
        """Return the height of the line's letters, at the median."""
        return median(glyph.bottom - glyph.top for glyph in self.glyphs)


def _turn_ligature(text: str) -> str:
    """Return the letters of a ligature in their order, which pdfium turns where a map has them from right to left.

    It has those of one character of Unicode as they are.
    """
    bases = [letter for letter in text if not unicodedata.combining(letter)]
    is_from_right = sum(RIGHT_TO_LEFT.match(letter) is not None for letter in bases) > 1
    is_mark_first = bool(bases) and text[0] != bases[0]
    is_in_order = text.startswith(LAM) or text in WORD_LIGATURES
    return text[::-1] if (is_from_right or is_mark_first) and not is_in_order else text


def reads_from_right(text: str) -> bool:
    """Return whether most words of a text are from right to left."""
    words = WORD.findall(text)
    return sum(RIGHT_TO_LEFT.search(word) is not None for word in words) * 2 > len(words)


def order_from_right(line: Line, blanks: Iterable[float]) -> list[list[Glyph]]:
    """Return the glyphs of a line's cells, each from right to left with one blank between its words.

    `blanks` are the left edges of those that are drawn without a width.
    """
    height = line.find_height()
    middles = [left + BLANK_SHIFT * height for left in blanks]
    drawn = [Glyph(BLANK, middle, line.top, middle, line.bottom) for middle in middles]
    glyphs = _sort([*line.glyphs, *drawn])
    for at, (alef, lam) in enumerate(pairwise(glyphs)):
        if alef.text.startswith(ALEFS) and lam.text.startswith(LAM) and _cross(alef, lam):
            glyphs[at : at + 2] = lam, alef
    return [_trim(cell) for cell in _split_into_cells(glyphs, height)]


def _sort(glyphs: list[Glyph]) -> list[Glyph]:
    """Return glyphs from right to left, each mark behind its letter.

    A mark stands over or under its letter, with its centre behind the letter's right edge and before the next one's.
    """
    letters = sorted((glyph for glyph in glyphs if not glyph.is_mark), key=_place)
    marks = sorted((glyph for glyph in glyphs if glyph.is_mark), key=_find_middle)
    found = []
    for at, letter in enumerate(letters):
        found.append(letter)
        reach = letters[at + 1].right if at + 1 < len(letters) else -inf
        while marks and _find_middle(marks[-1]) >= reach:
            found.append(marks.pop())
    return found


def _place(glyph: Glyph) -> tuple[float, bool]:
    """Return the place of a letter from right to left: its left edge, as the ink of some is wider than they are."""
    if glyph.text == SOFT_HYPHEN:
        return inf, True
    if glyph.text in JOINERS:
        return JOINER_SHIFT - glyph.left, True
    is_at_middle = glyph.is_cluster or glyph.text.isspace()
    return -(_find_middle(glyph) if is_at_middle else glyph.left), glyph.text != LAM


def _find_middle(glyph: Glyph) -> float:
    return (glyph.left + glyph.right) / 2


def _cross(alef: Glyph, lam: Glyph) -> bool:
    """Return whether a lam and the alef behind it are drawn across one another."""
    return lam.right - alef.left >= MIN_CROSSING * (alef.right - alef.left)


def _split_into_cells(glyphs: list[Glyph], height: float) -> Iterator[list[Glyph]]:
    cell: list[Glyph] = []
    reach: float | None = None
    for glyph in glyphs:
        is_beside_cluster = glyph.is_cluster or (cell and cell[-1].is_cluster)
        least = height * (MIN_SPACE_BESIDE_CLUSTER if is_beside_cluster else MIN_SPACE)
        is_blank = glyph.text.isspace()
        gap = 0.0 if reach is None or is_blank or glyph.is_mark or glyph.text == SOFT_HYPHEN else reach - glyph.right
        if gap > CELL_GAP * height:
            yield cell
            cell = []
        elif gap > least:
            cell.append(Glyph(BLANK, glyph.right, glyph.top, glyph.right, glyph.bottom))
        cell.append(glyph)
        if not is_blank:
            reach = glyph.left if reach is None else min(reach, glyph.left)
    yield cell


def _trim(cell: list[Glyph]) -> list[Glyph]:
    """Return glyphs with one blank between words and none at the ends."""
    found: list[Glyph] = []
    for glyph in cell:
        if not glyph.text.isspace() or (found and not found[-1].text.isspace()):
            found.append(glyph)
    return found[:-1] if found and found[-1].text.isspace() else found
