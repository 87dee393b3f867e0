"""The words of a PDF page and their boxes, through pdfium's C interface."""

import ctypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import pdf_clusters, pdf_codes
from .pdf_bidi.glyphs import RIGHT_TO_LEFT, SOFT_HYPHEN, Glyph, reads_from_right
from .pdf_bidi.lines import find_lines, read_line
from .pdf_layout import directions, powers
from .pdf_layout.powers import MAX_LETTER_GAP, continue_word

if TYPE_CHECKING:
    import pypdfium2

MAX_WORDS = 20_000  # of a page that are put in order; more are no page that a person reads
MAX_FONT_NAME_BYTES = 128  # a longer name is not read
MIN_SPACE = 0.2  # of a line's height
MAX_CODE = 0x10FFFF
HYPHEN = "\x02"  # pdfium's mark of a hyphen at the end of a line
LINE = re.compile(r"[^\r\n]+")
WORD = re.compile(rf"[^\s{HYPHEN}]+{HYPHEN}?|{HYPHEN}")
IDEOGRAPH = re.compile("[\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef]")  # text without spaces


@dataclass(slots=True)
class Word:
    """A word and its box, in points from the upper left corner of the text as it is read."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    is_value: bool = False  # of a form's field, which has no place in the page's own order
    goes_on: bool = False  # with the word before it, in a line of two directions
    is_from_right: bool = False  # as its line


@dataclass(slots=True)
class PageWords:
    """The words of a page by the direction of writing (`pdf_layout.directions`), the most first."""

    by_direction: dict[int, list[Word]] = field(default_factory=dict)
    words: int = 0
    unmapped: int = 0


def read_words(text_page: "pypdfium2.PdfTextPage") -> PageWords:
    """Return a page's words."""
    return _TextReader(text_page).read()


class _TextReader:
    """Reads the words of a page and their boxes through pdfium's C interface."""

    def __init__(self, text_page: "pypdfium2.PdfTextPage") -> None:
        from pypdfium2 import raw

        self._raw: Any = raw
        self._page = text_page.raw
        self._box = raw.FS_RECTF()
        self._box_reference = ctypes.byref(self._box)
        text = _characters(raw, text_page)
        has_clusters = pdf_clusters.LETTERS.search(text) is not None
        is_needed = has_clusters or RIGHT_TO_LEFT.search(text)
        self._objects = pdf_clusters.read_clusters(raw, text_page.page.raw) if is_needed else {}
        self._seen: set[int] = set()  # clusters of lines from right to left
        self._directions: dict[int, int] = {}  # of objects of text
        self._has_clusters = has_clusters and any(one.text for one in self._objects.values())
        if self._has_clusters:
            text = pdf_clusters.join_clusters(text, self._objects, self._object)
        text = pdf_codes.replace_private(text, self._font)
        text = pdf_codes.replace_euro(text, self._is_unmapped, self._is_one_font)
        self._text = pdf_codes.decode(text, self._is_coded, self._is_one_font, self._is_over, self._is_beside)

    def read(self) -> PageWords:
        found = PageWords()
        if RIGHT_TO_LEFT.search(self._text):
            self._read_two_directions(found)
        else:
            self._read_span(found, 0, len(self._text))
        found.by_direction = dict(sorted(found.by_direction.items(), key=lambda item: -len(item[1])))
        return found

    def _read_span(self, found: PageWords, start: int, end: int) -> None:
        for line in LINE.finditer(self._text, start, end):
            direction: int | None = None
            for word in WORD.finditer(self._text, line.start(), line.end()):
                if not self._count(found, word):
                    continue
                if direction != 0:
                    direction = self._direction(word.start())
                direction, placed = self._place_word(word, direction)
                words = found.by_direction.setdefault(direction, [])
                if word.start() == line.start() and words:
                    placed = continue_word(words.pop(), list(placed), self._text[word.end() : word.end() + 3])
                words.extend(placed)

    def _read_two_directions(self, found: PageWords) -> None:
        """Read lines from right to left by the places of their glyphs: pdfium has them in no order that is known."""
        is_page_from_right = reads_from_right(self._text)
        blanks = sorted((-one.bottom, one.left) for one in self._objects.values() if one.is_blank)
        is_from_right = False  # of the last line: one of numbers alone is, too
        for line in find_lines(len(self._text), self._read_glyph):
            if any(map(str.isalpha, line.text)):
                is_from_right = RIGHT_TO_LEFT.search(line.text) is not None
            if not is_from_right or line.glyphs[0].direction:
                self._read_span(found, line.start, line.end)
            elif sum(self._count(found, word) for word in WORD.finditer(self._text, line.start, line.end)):
                placed = found.by_direction.setdefault(0, [])
                is_turned, cells = read_line(line, line.find_within(blanks), is_page_from_right)
                for word, goes_on in ((word, at > 0) for cell in cells for at, word in enumerate(cell)):
                    placed.append(Word(word.text, *word.box, goes_on=goes_on, is_from_right=is_turned))

    def _read_glyph(self, number: int) -> Glyph | None:
        """Return the letter or the cluster at a position, or None where the page shows none."""
        letter = self._text[number].replace(HYPHEN, SOFT_HYPHEN)
        source = pdf_clusters.address(self._raw.FPDFText_GetTextObject(self._page, number))
        if letter.isspace() and (not source or letter in "\r\n"):
            return None
        cluster = self._objects.get(source)
        if source not in self._directions:
            self._directions[source] = self._direction(number)
        direction = self._directions[source]
        if cluster is not None and cluster.text:
            if cluster.first in self._seen:
                return None
            self._seen.add(cluster.first)
            return Glyph(cluster.text, *cluster.find_box(), source=source, is_cluster=True, direction=direction)
        glyph = self._read_letter(number, letter, source)
        # A blank without a width in a longer object is pdfium's own, where a mark is drawn out of line.
        is_own = cluster is not None and not cluster.is_blank and glyph.left == glyph.right and letter.isspace()
        return None if is_own else glyph

    def _read_letter(self, number: int, letter: str, source: int) -> Glyph:
        """Return a letter; a mark is as wide as its ink, which may be on one side of its letter."""
        self._raw.FPDFText_GetLooseCharBox(self._page, number, self._box_reference)
        box = (self._box.left, -self._box.top, self._box.right, -self._box.bottom)
        glyph = Glyph(letter, *box, source=source, direction=self._directions[source])
        if glyph.direction == 0 and glyph.is_mark:
            sides = [ctypes.c_double() for _ in range(4)]
            if self._raw.FPDFText_GetCharBox(self._page, number, *sides):
                glyph.left = sides[0].value
                glyph.right = sides[1].value
        return glyph

    def _count(self, found: PageWords, word: re.Match[str]) -> bool:
        found.words += 1
        found.unmapped += self._is_unmapped(word.start())
        return found.words <= MAX_WORDS

    def _object(self, number: int) -> int:
        is_generated = self._raw.FPDFText_IsGenerated(self._page, number) == 1
        return 0 if is_generated else pdf_clusters.address(self._raw.FPDFText_GetTextObject(self._page, number))

    def _font(self, number: int) -> str:
        name = ctypes.create_string_buffer(MAX_FONT_NAME_BYTES)
        self._raw.FPDFText_GetFontInfo(self._page, number, name, MAX_FONT_NAME_BYTES, None)
        return name.value.decode("utf-8", "replace")

    def _is_unmapped(self, number: int) -> bool:
        return bool(self._raw.FPDFText_HasUnicodeMapError(self._page, number) == 1)

    def _is_coded(self, number: int) -> bool:
        return self._is_unmapped(number) and not self._font(number)  # bitmap fonts have no names

    def _is_one_font(self, *numbers: int) -> bool:
        objects = (self._raw.FPDFText_GetTextObject(self._page, number) for number in numbers)
        return len({pdf_clusters.address(self._raw.FPDFTextObj_GetFont(one)) for one in objects}) == 1

    def _is_over(self, mark: int, letter: int) -> bool:
        upper = self._boxed("", mark, direction=0)
        lower = self._boxed("", letter, direction=0)
        return lower.left <= (upper.left + upper.right) / 2 <= lower.right and _is_line(upper, lower)

    def _is_beside(self, letter: int, following: int) -> bool:
        left = self._boxed("", letter, direction=0)
        right = self._boxed("", following, direction=0)
        return _is_line(left, right) and right.left - left.right < MAX_LETTER_GAP * (left.bottom - left.top)

    def _direction(self, number: int) -> int:
        angle: float = self._raw.FPDFText_GetCharAngle(self._page, number)
        return directions.find_direction(angle)

    def _place_word(self, found: re.Match[str], direction: int) -> tuple[int, Iterable[Word]]:
        """Return a word's direction, and the word with its box, or its parts where pdfium has put cells together.

        The direction may be another than the line's: pdfium's lines go on with text of any direction that follows.
        """
        text = found[0].replace(HYPHEN, SOFT_HYPHEN)
        word = self._boxed(text, found.start(), direction)
        if direction:
            return direction, self._parts(found.start(), text, direction)
        last = found.end() - 1 - (text[-1] == SOFT_HYPHEN)
        if last <= found.start():
            return direction, [word]
        box = self._box
        self._raw.FPDFText_GetLooseCharBox(self._page, last, self._box_reference)
        if box.bottom - 1 > -word.top or box.top + 1 < -word.bottom:  # on another line
            direction = self._direction(found.start())
            return direction, self._parts(found.start(), text, direction)
        reach = word.right
        word.right = max(word.right, box.right)
        word.left = min(word.left, box.left)
        parts = self._split_at_gaps(word, reach, found.start(), last)
        if powers.CANDIDATE.search(text):
            powers.raise_parts(parts, found.start(), self._text, find_span=self._find_span)
        return direction, parts

    def _find_span(self, number: int) -> tuple[float, float]:
        self._raw.FPDFText_GetLooseCharBox(self._page, number, self._box_reference)
        return -self._box.top, -self._box.bottom

    def _split_at_gaps(self, word: Word, reach: float, first: int, last: int) -> list[Word]:
        """Return the parts of a word between which a space is missing; in a spaced-out word all gaps are alike."""
        box = self._box
        find_box = self._raw.FPDFText_GetLooseCharBox
        page = self._page
        reference = self._box_reference
        gaps = []
        for number in range(first + 1, last + 1):  # of each letter: calls of functions are what it costs
            find_box(page, number, reference)
            gaps.append(box.left - reach)
            right = box.right
            if right > reach:
                reach = right
        least = MIN_SPACE * (word.bottom - word.top) + max(0.0, min(gaps))
        is_unspaced = IDEOGRAPH.search(word.text) or (self._has_clusters and pdf_clusters.LETTERS.search(word.text))
        if max(gaps) <= least or is_unspaced:
            return [word]
        starts = [0, *(number for number, gap in enumerate(gaps, 1) if gap > least), len(word.text)]
        parts = []
        for start, end in pairwise(starts):
            part = self._boxed(word.text[start:end], first + start, 0)
            part.right = max(part.right, self._boxed("", min(first + end - 1, last), 0).right)
            parts.append(part)
        return parts

    def _parts(self, first: int, text: str, direction: int) -> Iterator[Word]:
        letters = [self._boxed(letter, first + number, direction) for number, letter in enumerate(text)]
        word = letters[0]
        for before, letter in pairwise(letters):
            if letter.text == SOFT_HYPHEN or (_is_line(before, letter) and _is_near(before, letter)):
                word.text += letter.text
                word.right = max(word.right, letter.right)
                word.bottom = max(word.bottom, letter.bottom)
                word.top = min(word.top, letter.top)
            else:
                yield word
                word = letter
        yield word

    def _boxed(self, text: str, number: int, direction: int) -> Word:
        box = self._box
        if not self._raw.FPDFText_GetLooseCharBox(self._page, number, self._box_reference):
            return Word(text, 0.0, 0.0, 0.0, 0.0)
        if direction == 0:
            return Word(text, box.left, -box.top, box.right, -box.bottom)
        corners = (box.left, box.bottom, box.right, box.top)
        if direction == directions.SLANTED:
            angle = self._raw.FPDFText_GetCharAngle(self._page, number)
            return Word(text, *directions.level(corners, angle))
        return turned(text, corners, direction)


def _characters(raw: Any, text_page: "pypdfium2.PdfTextPage") -> str:
    """Return a page's characters, by pdfium's numbers: a blank where there is none."""
    count = text_page.count_chars()
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(text_page.raw, 0, count, buffer) if count else 0
    units = bytes(buffer)[: 2 * (written - 1)] if written else b""
    text = units.decode("utf-16-le", "replace").replace("\ufffe", HYPHEN)
    if len(text) == count and "\0" not in text:
        return text
    codes = (raw.FPDFText_GetUnicode(text_page.raw, number) for number in range(count))
    return "".join(chr(code) if code and code <= MAX_CODE else " " for code in codes)


def turned(text: str, box: tuple[float, float, float, float], direction: int) -> Word:
    """Return a box of the page's coordinates as it lies when its text is upright; y grows downwards."""
    return Word(text, *directions.turn(box, direction), is_from_right=reads_from_right(text))


def _is_line(one: Word, other: Word) -> bool:
    overlap = min(one.bottom, other.bottom) - max(one.top, other.top)
    return overlap * 2 >= min(one.bottom - one.top, other.bottom - other.top)


def _is_near(one: Word, other: Word) -> bool:
    return abs(other.left - one.right) <= (one.bottom - one.top) / 2
