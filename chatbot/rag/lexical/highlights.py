"""Where a text has the words of a query, by the analyzers that index and query went through.

Offsets are code points of the text as it is; terms are made of its words one by one, each only once for all texts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from chatbot.rag.text import unspaced
from chatbot.rag.text.languages import detect

from .analysis import analyzer_of, beginning, prepare_query, query_terms, word_terms

SNIPPET_LENGTH = 200
LEAD = 40  # characters of a snippet before its first match
MAX_MATCHES = 500  # of a text
# Letters and digits; the combining marks that follow them are no letters to `re`.
WORD = re.compile(r"[^\W_](?:[^\W_]|[^\w\s\x00-\u02ff\u2000-\u2bff\u3000-\u303f\ufe10-\uff65])*")
LINE_END = re.compile(unspaced.LINE_END)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of a text, and the places of a query's words in it: (start, end) in code points of the part."""

    text: str
    highlights: list[tuple[int, int]]


class Match(NamedTuple):
    """A place of a text that has a term of a query, or only its beginning."""

    start: int
    end: int
    term: str
    is_exact: bool


class Highlighter:
    """Finds the words of one query in texts."""

    def __init__(self, query: str, analyzers: Sequence[str]) -> None:
        asked_in = analyzer_of(detect(query))
        prepared = prepare_query(query)
        self._wanted = {name: frozenset(query_terms(prepared, name, asked_in)) for name in analyzers}
        self._known: dict[str, tuple[str, bool] | None] = {}  # the matching term of a word, and whether it is exact

    def cut(self, texts: Sequence[str]) -> Snippet:
        """Return the part with the most different words of the query, of the first text that has as many."""
        best: tuple[int, str, list[Match]] = (0, texts[0], [])
        for text in texts:
            matches = self._find(text)
            window, count = _choose_window(matches)
            if count > best[0]:
                best = (count, text, window)
        return _cut(best[1], best[2])

    def _find(self, text: str) -> list[Match]:
        places = list(_split(text))
        self._look_up({text[start:end] for start, end in places})
        matches = []
        for start, end in places:
            if (known := self._known[text[start:end]]) is not None:
                matches.append(Match(start, end, *known))
                if len(matches) == MAX_MATCHES:
                    break
        found_exactly = {beginning(match.term) for match in matches if match.is_exact}
        return [match for match in matches if match.is_exact or match.term not in found_exactly]

    def _look_up(self, words: set[str]) -> None:
        unknown = list(words - self._known.keys())
        self._known |= dict.fromkeys(unknown)
        for name, wanted in self._wanted.items():
            for word, term in zip(unknown, word_terms(unknown, name), strict=True):
                if term in wanted:
                    self._known[word] = (term, True)
                elif beginning(term) in wanted and self._known[word] is None:
                    self._known[word] = (beginning(term), False)


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of words, and of pairs of characters where words have no spaces between them."""
    for found in WORD.finditer(text):
        end = found.end()
        while unicodedata.category(text[end - 1])[0] not in "LMN":
            end -= 1
        at = found.start()
        for run in unspaced.RUN.finditer(text, at, end):
            if at < run.start():
                yield at, run.start()
            yield from _list_pairs(run.start(), run.end())
            at = run.end()
        if at < end:
            yield at, end
        elif next_line := LINE_END.match(text, end):
            yield end - 1, next_line.end() + 1


def _list_pairs(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the places of the overlapping pairs of a run; of a single character, its own."""
    if end - start == 1:
        yield start, end
    for first, second in pairwise(range(start, end)):
        yield first, second + 1


def _choose_window(matches: list[Match]) -> tuple[list[Match], int]:
    """Return the matches of the part with the most different terms, the earliest of such; and the number of terms."""
    best: list[Match] = []
    most = 0
    last = 0
    for first, match in enumerate(matches):
        last = max(last, first)
        while last < len(matches) and matches[last].end <= match.start + SNIPPET_LENGTH - LEAD:
            last += 1
        window = matches[first:last] or [match]
        count = len({one.term for one in window})
        if count > most:
            best = window
            most = count
    return best, most


def _cut(text: str, matches: list[Match]) -> Snippet:
    """Return the part of a text around some matches, cut between words where it can be."""
    first = matches[0].start if matches else 0
    start = max(0, first - LEAD)
    if start:
        start = next((at + 1 for at in range(start, first) if text[at].isspace()), start)
    end = min(len(text), start + SNIPPET_LENGTH)
    if end < len(text):
        least = max(matches[-1].end if matches else start, start + SNIPPET_LENGTH // 2)
        end = next((at for at in range(end, least, -1) if text[at].isspace()), end)
    least = max(0, start - LEAD)
    while start > least and unicodedata.combining(text[start]):
        start -= 1
    places: list[tuple[int, int]] = []
    for match in matches:
        place = (match.start - start, min(match.end, end) - start)
        if places and place[0] < places[-1][1]:
            place = (places.pop()[0], place[1])
        places.append(place)
    return Snippet(text[start:end], [place for place in places if place[0] < place[1]])
