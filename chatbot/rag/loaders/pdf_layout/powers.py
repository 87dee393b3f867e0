"""Raised digits of a PDF page, and words that pdfium has in two of its lines."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from chatbot.rag.loaders.notation import format_raised

if TYPE_CHECKING:
    from chatbot.rag.loaders.pdf_words import Word

CANDIDATE = re.compile('[^\\W_][+\u2212\u2013-]?[0-9]|[)\\].,;:!?"\u201d\u2019][+\u2212\u2013-]?[0-9]')
DIGIT = re.compile("[0-9]")
DIGITS = frozenset("0123456789")
SIGNS = frozenset("+-\u2212\u2013")
SIGNS_BEFORE = frozenset(')].,;:!?"\u201d\u2019')  # of which a raised number may stand
SLASHES = ("/", "\u2044")  # behind the numerator of a fraction
MAX_SIZE = 0.9  # of the height of the digit before a raised one
MIN_RISE = 0.15  # of that height
MAX_LETTER_GAP = 0.08  # of a line's height, between two letters of a word
MAX_OVERLAP = 0.3
MAX_SHIFT = 0.06

Span = tuple[float, float]  # a letter's top and bottom; y grows downwards


def raise_parts(parts: "list[Word]", first: int, page: str, find_span: Callable[[int], Span]) -> None:
    """Write raised digits of a word's parts as powers and notes; `first` is the number of its first letter in a page.

    Only words with a digit above the line of their first letter are read letter by letter: few are.
    """
    for part in parts:
        last = first + len(part.text)
        base = (part.top, part.bottom)
        digits = (digit.start() for digit in DIGIT.finditer(part.text, 1))
        if any(is_raised(find_span(first + digit), base) for digit in digits):
            spans = [find_span(number) for number in range(first, last)]
            part.text = raise_digits(part.text, spans, page[last : last + 3])
        first = last


def raise_digits(text: str, spans: list[Span], behind: str) -> str:
    """Return a word with digits that are smaller and higher than the one before them as a power or a note.

    `behind` is the text behind the word, in which a raised digit may be over a fraction's slash.
    """
    parts = []
    end = 0
    for start, stop in _find_raised(text, spans):
        parts += [text[end:start], _format_raised(text[:start], text[start:stop], text[stop:] or behind)]
        end = stop
    return "".join([*parts, text[end:]])


def _format_raised(before: str, number: str, behind: str) -> str:
    """Return a raised number as a power or a note, or as the numerator of a fraction behind a whole."""
    is_numerator = behind.lstrip("\r\n").startswith(SLASHES)
    return f" {number}" if is_numerator else format_raised(before, number.replace("\u2013", "\u2212"))


def _find_raised(text: str, spans: list[Span]) -> Iterator[tuple[int, int]]:
    """Yield the starts and ends of raised numbers behind a number or a bracket."""
    start: int | None = None
    base = spans[0]
    for at, letter in enumerate(text):
        is_number = letter in DIGITS or letter in SIGNS
        follows = start is not None or (at > 0 and (text[at - 1].isalnum() or text[at - 1] in SIGNS_BEFORE))
        if is_number and follows and is_raised(spans[at], base):
            start = at if start is None else start
            continue
        if start is not None:
            yield start, at
            start = None
        base = spans[at]
    if start is not None:
        yield start, len(text)


def is_raised(span: Span, base: Span) -> bool:
    """Return whether a letter is smaller than another one and above its line."""
    height = base[1] - base[0]
    return span[1] - span[0] <= MAX_SIZE * height and base[1] - span[1] >= MIN_RISE * height


def continue_word(word: "Word", placed: "list[Word]", behind: str) -> "list[Word]":
    """Return the words of a line behind the last one of another; the first is its rest where they touch.

    `behind` is the text behind them.

    pdfium has a line for each letter of the cells of a table that Chromium has made. Letters that are higher or lower
    are marks of notes, and exponents behind a number.
    """
    left, right = sorted((word, placed[0]), key=lambda part: part.left)
    height = max(1.0, word.bottom - word.top)
    is_level = abs(left.top + left.bottom - right.top - right.bottom) / 2 < MAX_SHIFT * height
    is_near = -MAX_OVERLAP * height < right.left - left.right < MAX_LETTER_GAP * height
    if not is_near or left is not word:
        return [word, *placed]
    if not is_level:
        power = _format_power(left, right, behind)
        return [replace(left, text=left.text + power, right=right.right), *placed[1:]] if power else [word, *placed]
    return [_union(left.text + right.text, left, right), *placed[1:]]


def _format_power(base: "Word", word: "Word", behind: str) -> str:
    """Return a raised number behind another one as its power, or nothing for another word."""
    is_power = base.text[-1] in DIGITS and DIGITS.issuperset(word.text)
    is_higher = is_power and is_raised((word.top, word.bottom), (base.top, base.bottom))
    return _format_raised(base.text, word.text, behind) if is_higher else ""


def _union(text: str, one: "Word", other: "Word") -> "Word":
    return replace(
        one,
        text=text,
        left=min(one.left, other.left),
        top=min(one.top, other.top),
        right=max(one.right, other.right),
        bottom=max(one.bottom, other.bottom),
    )
