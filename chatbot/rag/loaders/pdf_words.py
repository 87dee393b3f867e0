"""The words of a PDF page and their boxes, through pdfium's C interface."""

import ctypes
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import pdf_clusters, pdf_codes, pdf_directions

if TYPE_CHECKING:
    import pypdfium2

MAX_WORDS = 20_000  # of a page that are put in order; more are no page that a person reads
MAX_FONT_NAME_BYTES = 128  # a longer name is not read
MIN_SPACE = 0.2  # of a line's height
MAX_LETTER_GAP = 0.08  # of a line's height, between two letters of a word
MAX_OVERLAP = 0.3
MAX_SHIFT = 0.06
MAX_CODE = 0x10FFFF
HYPHEN = "\x02"  # pdfium's mark of a hyphen at the end of a line
SOFT_HYPHEN = "\xad"  # what stands for it until the lines are joined
LINE = re.compile(r"[^\r\n]+")
WORD = re.compile(rf"[^\s{HYPHEN}]+{HYPHEN}?|{HYPHEN}")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")  # Hebrew, Arabic and their kin
# Numbers and words that are written from left to right within one from right to left. Arabic's digits are, too.
LEFT_TO_RIGHT = re.compile(r"%?(?:[.,:/]?(?:\d|[^\W\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]))+")
MARKED_NUMBER = re.compile(r"[.,:;!?()\[\]/%]*+\d[\d.,:;!?()\[\]/%]*+")
MIRRORED_BRACKETS = re.compile(
    r"^[^\w\s(\[{]{0,3}[)\]}\u00bb\u203a](?=[^\w\s]{0,3}\w)|\w[^\w\s)\]}]{0,3}[(\[{\u00ab\u2039][^\w\s]{0,3}$"
)
ADDRESS = re.compile("[A-Za-z][@.][A-Za-z]")  # whose parts pdfium turns between words from right to left
MIRRORED = str.maketrans("()[]{}\u00ab\u00bb\u2039\u203a", ")(][}{\u00bb\u00ab\u203a\u2039")
IDEOGRAPH = re.compile("[\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef]")  # text without spaces
LAM = "\u0644"  # the first letter of its ligatures with alef


@dataclass(slots=True)
class Word:
    """A word and its box, in points from the upper left corner of the text as it is read."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    is_value: bool = False  # of a form's field, which has no place in the page's own order


@dataclass(slots=True)
class PageWords:
    """The words of a page by the direction of writing (`pdf_directions`), the most first."""

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
        self._is_from_right = False  # of the line that is read
        text = _characters(raw, text_page)
        self._clusters = (
            pdf_clusters.read_clusters(raw, text_page.page.raw) if pdf_clusters.LETTERS.search(text) else {}
        )
        if self._clusters:
            text = pdf_clusters.join_clusters(text, self._clusters, self._object)
        text = pdf_codes.replace_private(text, self._font)
        text = pdf_codes.replace_euro(text, self._is_unmapped, self._is_one_font)
        self._text = pdf_codes.decode(text, self._is_coded, self._is_one_font, self._is_over, self._is_beside)

    def read(self) -> PageWords:
        found = PageWords()
        for line in LINE.finditer(self._text):
            if RIGHT_TO_LEFT.search(line[0]) or any(map(str.isalpha, line[0])):  # a line of numbers is as the last one
                self._is_from_right = RIGHT_TO_LEFT.search(line[0]) is not None
            direction: int | None = None
            for word in WORD.finditer(self._text, line.start(), line.end()):
                found.words += 1
                found.unmapped += self._is_unmapped(word.start())
                if found.words > MAX_WORDS:
                    continue
                if direction != 0:
                    direction = self._direction(word)
                direction, placed = self._place_word(word, direction)
                words = found.by_direction.setdefault(direction, [])
                if word.start() == line.start() and words:
                    placed = _continue_word(words.pop(), list(placed))
                words.extend(placed)
        found.by_direction = dict(sorted(found.by_direction.items(), key=lambda item: -len(item[1])))
        return found

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
        fonts = {pdf_clusters.address(self._raw.FPDFTextObj_GetFont(one)) for one in objects}
        return len(fonts) == 1

    def _is_over(self, mark: int, letter: int) -> bool:
        upper = self._boxed("", mark, direction=0)
        lower = self._boxed("", letter, direction=0)
        return lower.left <= (upper.left + upper.right) / 2 <= lower.right and _is_line(upper, lower)

    def _is_beside(self, letter: int, following: int) -> bool:
        left = self._boxed("", letter, direction=0)
        right = self._boxed("", following, direction=0)
        return _is_line(left, right) and right.left - left.right < MAX_LETTER_GAP * (left.bottom - left.top)

    def _direction(self, word: re.Match[str]) -> int:
        angle: float = self._raw.FPDFText_GetCharAngle(self._page, word.start())
        return pdf_directions.find_direction(angle)

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
            direction = self._direction(found)
            return direction, self._parts(found.start(), text, direction)
        is_from_right = RIGHT_TO_LEFT.search(text) or (self._is_from_right and MARKED_NUMBER.fullmatch(text))
        if is_from_right or (box.left < word.left and ADDRESS.search(text) and RIGHT_TO_LEFT.search(self._text)):
            letters = [self._boxed(letter, found.start() + at, 0) for at, letter in enumerate(text)]
            return direction, [_order_from_right(letters) if is_from_right else _order_from_left(letters)]
        reach = word.right
        word.right = max(word.right, box.right)
        word.left = min(word.left, box.left)
        return direction, self._split_at_gaps(word, reach, found.start(), last)

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
        is_unspaced = IDEOGRAPH.search(word.text) or (self._clusters and pdf_clusters.LETTERS.search(word.text))
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
        if direction == pdf_directions.SLANTED:
            angle = self._raw.FPDFText_GetCharAngle(self._page, number)
            return Word(text, *pdf_directions.level(corners, angle))
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
    return Word(text, *pdf_directions.turn(box, direction))


def _order_from_right(letters: list[Word]) -> Word:
    """Return the word that letters form from right to left; the file may have them in any order.

    A mark stands over or under its letter, with its centre behind the letter's right edge and before the next one's.
    """

    def place(letter: Word) -> tuple[float, bool]:
        is_mark = unicodedata.combining(letter.text) > 0
        return -(letter.left + letter.right) / 2 if is_mark else -letter.right, letter.text != LAM

    hyphen = letters[-1].text == SOFT_HYPHEN
    placed = sorted(letters[: len(letters) - hyphen], key=place)
    text = LEFT_TO_RIGHT.sub(lambda run: run[0][::-1], "".join(letter.text for letter in placed))
    return _union(_turn_brackets(text) + SOFT_HYPHEN * hyphen, placed)


def _order_from_left(letters: list[Word]) -> Word:
    placed = sorted(letters, key=lambda letter: letter.left)
    return _union("".join(letter.text for letter in placed), placed)


def _turn_brackets(text: str) -> str:
    """Return a word with brackets that open and close: drawn ones are those of the glyphs, which are mirrored."""
    return text.translate(MIRRORED) if MIRRORED_BRACKETS.search(text) else text


def _continue_word(word: Word, placed: list[Word]) -> list[Word]:
    """Return the words of a line behind the last one of another; the first is its rest where they touch.

    pdfium has a line for each letter of the cells of a table that Chromium has made. Letters that are higher or lower
    are exponents and marks of notes.
    """
    left, right = sorted((word, placed[0]), key=lambda part: part.left)
    height = max(1.0, word.bottom - word.top)
    is_level = abs(left.top + left.bottom - right.top - right.bottom) / 2 < MAX_SHIFT * height
    is_from_right = RIGHT_TO_LEFT.search(left.text + right.text)
    if not is_level or not -MAX_OVERLAP * height < right.left - left.right < MAX_LETTER_GAP * height:
        return [word, *placed]
    if left is not word and not is_from_right:
        return [word, *placed]
    text = right.text + left.text if is_from_right else left.text + right.text
    return [_union(text, [left, right]), *placed[1:]]


def _union(text: str, parts: list[Word]) -> Word:
    return Word(
        text,
        left=min(part.left for part in parts),
        top=min(part.top for part in parts),
        right=max(part.right for part in parts),
        bottom=max(part.bottom for part in parts),
    )


def _is_line(one: Word, other: Word) -> bool:
    overlap = min(one.bottom, other.bottom) - max(one.top, other.top)
    return overlap * 2 >= min(one.bottom - one.top, other.bottom - other.top)


def _is_near(one: Word, other: Word) -> bool:
    return abs(other.left - one.right) <= (one.bottom - one.top) / 2
