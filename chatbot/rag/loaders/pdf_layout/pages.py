"""Pages of a PDF, and sentences that go on from one to the next."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from .hyphens import HYPHEN, Vocabulary

MAX_MARGIN_LENGTH = 100  # characters of a running head or foot
ROMAN = "(?=[ivxlc])(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
PAGE_NUMBER = re.compile(rf"[-\u2013\u2014 ]{{0,2}}(?:\d{{1,4}}|{ROMAN})[-\u2013\u2014 ]{{0,2}}")
NUMBER = re.compile(r"\d+")
AFTER_SENTENCE = re.compile("(?<=[.!?\u2026:;\"')\u201d\u00bb])\n\n")


@dataclass(slots=True)
class Page:
    """A page's text, or the reason why there is none."""

    text: str = ""
    fault: str | None = None
    is_unmapped: bool = False


def free_sentences(pages: list[Page], vocabulary: Vocabulary) -> None:
    """Move running heads and feet out of the sentences that go on from a page to the next."""
    heads = Counter(_without_numbers(page.text.partition("\n\n")[0]) for page in pages)
    feet = Counter(_without_numbers(page.text.rpartition("\n\n")[2]) for page in pages)
    for page, following in pairwise(pages):
        body, foot = _part_foot(page.text, feet)
        head, rest = _part_head(following.text, heads)
        if not body or body.endswith(tuple(".!?\u2026:;")) or not rest[:1].islower():
            continue
        if body.endswith(("-", HYPHEN)):  # the word's rest belongs to it
            word, _, rest = rest.partition(" ")
            own = body[-1] if vocabulary.has_hyphen(body[:-1].split()[-1], word) else ""
            body = body[:-1] + own + word
        ends = [found.start() for found in AFTER_SENTENCE.finditer(body)]
        page.text = _insert(body, ends[-1] if ends else 0, foot)
        end = AFTER_SENTENCE.search(rest)
        following.text = _insert(rest, end.start() if end else len(rest), head)


def _part_foot(text: str, feet: Counter[str]) -> tuple[str, str]:
    body, _, foot = text.rpartition("\n\n")
    return (body, foot) if _is_margin(foot, feet) else (text, "")


def _part_head(text: str, heads: Counter[str]) -> tuple[str, str]:
    head, _, body = text.partition("\n\n")
    return (head, body) if _is_margin(head, heads) else ("", text)


def _without_numbers(text: str) -> str:
    return NUMBER.sub("0", text[:MAX_MARGIN_LENGTH])


def _is_margin(text: str, known: Counter[str]) -> bool:
    """Return whether a page's first or last paragraph is a head or foot: a page number, or a line of several pages."""
    if "\n" in text or len(text) > MAX_MARGIN_LENGTH:
        return False
    return PAGE_NUMBER.fullmatch(text) is not None or known[_without_numbers(text)] > 1


def _insert(text: str, position: int, paragraph: str) -> str:
    parts = (text[:position], paragraph, text[position:])
    return "\n\n".join(part.strip("\n") for part in parts if part)
