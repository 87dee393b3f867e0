"""Pages of a PDF, and sentences that go on from one to the next."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from .hyphens import HYPHEN, Vocabulary
from .notes import SENTENCE_END

MIN_LINE_FILL = 0.85  # of the longest line of a paragraph, of a line that its paragraph's end has not cut short
MAX_MARGIN_LENGTH = 100  # characters of a line of a running head or foot
MAX_MARGIN_LINES = 2
ROMAN = "(?=[ivxlc])(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
PAGE_NUMBER = re.compile(rf"[-\u2013\u2014 ]{{0,2}}(?:\d{{1,4}}|{ROMAN})[-\u2013\u2014 ]{{0,2}}")
NUMBER = re.compile(r"\d+")
AFTER_SENTENCE = re.compile("(?<=[.!?\u2026:;\"')\u201d\u00bb])\n\n")
AFTER_LINE = re.compile("(?<=[.!?\u2026])\n(?!\n)")  # that ends with a sentence


@dataclass(slots=True)
class Page:
    """A page's text and its notes that stand within a sentence, or the reason why there are none."""

    text: str = ""
    notes: str = ""
    fault: str | None = None
    is_unmapped: bool = False


@dataclass(slots=True)
class _Parts:
    """A page's head, body and foot."""

    head: str
    body: str
    foot: str
    goes_on: bool = False  # in the next page


def free_sentences(pages: list[Page], vocabulary: Vocabulary) -> None:
    """Move running heads, feet and notes out of the sentences that go on from a page to the next."""
    found = _part_pages(pages)
    for parts, following in pairwise(found):
        parts.goes_on = _goes_on(parts.body, following.body)
        if parts.goes_on and parts.body.endswith(("-", HYPHEN)):  # the word's rest belongs to it
            word, _, following.body = following.body.partition(" ")
            own = parts.body[-1] if vocabulary.has_hyphen(parts.body[:-1].split()[-1], word) else ""
            parts.body = parts.body[:-1] + own + word
    is_rest = False  # of a sentence of the page before
    for page, parts in zip(pages, found, strict=True):
        page.text = _put_together(parts, is_rest)
        is_rest = parts.goes_on


def _part_pages(pages: list[Page]) -> list[_Parts]:
    heads = Counter(_without_numbers(page.text.partition("\n\n")[0]) for page in pages)
    feet = Counter(_without_numbers(page.text.rpartition("\n\n")[2]) for page in pages)
    found = []
    for page in pages:
        body, foot = _part_foot(page.text, feet)
        head, body = _part_head(body, heads)
        found.append(_Parts(head, body, foot="\n\n".join(filter(None, (page.notes, foot)))))
    return found


def _put_together(parts: _Parts, is_rest: bool) -> str:
    """Return a page's text with its head behind the rest of a sentence, and its foot before one that goes on."""
    body = parts.body
    ends = [end.start() for end in AFTER_SENTENCE.finditer(body)] or [end.start() for end in AFTER_LINE.finditer(body)]
    first = 0
    last = len(body)
    if is_rest and parts.head:
        first = ends[0] if ends else len(body)
    if parts.goes_on and parts.foot:
        last = ends[-1] if ends else 0
    if first > last:  # a page without the end of a sentence
        first = last = 0
    pieces = (body[:first], parts.head, body[first:last], parts.foot, body[last:])
    return "\n\n".join(stripped for piece in pieces if (stripped := piece.strip("\n")))


def _goes_on(body: str, rest: str) -> bool:
    """Return whether a page's last sentence goes on: in a small letter, or behind a full line without a stop."""
    if not body or SENTENCE_END.search(body) or not rest:
        return False
    if rest[0].islower():
        return True
    *lines, last = body.rpartition("\n\n")[2].split("\n")
    is_full = bool(lines) and len(last) >= MIN_LINE_FILL * max(map(len, lines))
    return is_full and (last[-1].isalnum() or last[-1] in ",-") and rest[0].isalnum()


def _part_foot(text: str, feet: Counter[str]) -> tuple[str, str]:
    body, _, foot = text.rpartition("\n\n")
    return (body, foot) if _is_margin(foot, feet) else (text, "")


def _part_head(text: str, heads: Counter[str]) -> tuple[str, str]:
    head, _, body = text.partition("\n\n")
    return (head, body) if _is_margin(head, heads) else ("", text)


def _without_numbers(text: str) -> str:
    return NUMBER.sub("0", text[: MAX_MARGIN_LINES * MAX_MARGIN_LENGTH])


def _is_margin(text: str, known: Counter[str]) -> bool:
    """Return whether a page's first or last paragraph is a head or foot: a page number, or lines of several pages."""
    lines = text.split("\n")
    if len(lines) > MAX_MARGIN_LINES or max(map(len, lines)) > MAX_MARGIN_LENGTH:
        return False
    return PAGE_NUMBER.fullmatch(text) is not None or known[_without_numbers(text)] > 1
