"""Cutting a document into chunks that are found and quoted on their own.

A chunk ends at the best place in a window: before a heading, else after a paragraph, before an item of a list, at
the end of a line, of a sentence, at a space, and at last anywhere. The next one begins a little before that place, so
that a sentence cut off from what it refers to is whole in one of them.
"""

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from chatbot.rag.types import Chunk

from . import unspaced
from .markdown import Outline, outline

MIN_CHARACTERS = 800  # characters of a chunk, where the text allows it
MAX_CHARACTERS = 1_200  # characters of a chunk, always
MIN_OVERLAP = 100
MAX_OVERLAP = 200

ENDS = "\u3002\uff01\uff1f\uff61"  # of Chinese and Japanese sentences, after which there is no space
QUOTES = "\u2019\u201d\u300d\u300f\uff09"  # that may close after a sentence's end

# From the best to the worst place to cut; each match ends where the next chunk may begin. Repetitions are bounded:
# a place is looked for in a window, and many windows full of blanks must cost no more than others.
PLACES = (
    re.compile(r"\n[ \t]{0,80}\n\s{0,80}"),  # paragraph
    re.compile(r"\n(?=[ \t]{0,20}(?:[-*+•]|\d{1,3}[.)])[ \t])"),  # item of a list
    # line that is not one of a wrapped paragraph
    re.compile(rf"(?<=[.!?:;,|>)}}\]{ENDS}])[ \t]?\n|(?!{unspaced.LINE_END})\n(?![a-z])"),
    re.compile(rf"[.!?…][\"'{QUOTES}»)\]]{{0,3}}\s{{1,80}}|[{ENDS}]+[{QUOTES}]{{0,3}}\s{{0,80}}"),  # sentence
    re.compile(r"\n"),
    re.compile(r"\s{1,80}"),
)
BLANK = re.compile(r"\s*")


def split(text: str, pages: Sequence[int] = ()) -> list[Chunk]:
    """Cut a text into chunks of 800 to 1200 code points that overlap by 100 to 200, and cover all that is not blank.

    A chunk is shorter at the end of the text and of each page, and where fenced code or a table's row would be cut that
    fits into one chunk; there, and before a heading, nothing overlaps. `pages` are the offsets at which the pages
    begin: a chunk lies on one, so that what is quoted from it does too.
    """
    found = outline(text)
    cutter = _Cutter(text, found)
    edges = [0, *(page for page in pages if 0 < page < len(text)), len(text)]
    spans = (span for first, last in itertools.pairwise(edges) for span in cutter.spans(first, last))
    return [Chunk(start, end, found.path(start), found.columns(start), _page(pages, start)) for start, end in spans]


def indexed_text(title: str | None, headings: Sequence[str], columns: str, text: str) -> str:
    """Return the indexed text of a chunk: title, heading path and a table's columns, each once, and the text."""
    begins = text.lstrip("# \t")
    every = dict.fromkeys((title or "", *headings, columns))
    above = [words for words in every if words and not begins.startswith(words)]
    return "\n".join((*above, text))


def _page(pages: Sequence[int], offset: int) -> int | None:
    return max(1, bisect_right(pages, offset)) if pages else None


class _Cutter:
    def __init__(self, text: str, found: Outline) -> None:
        self.text = text
        self.length = 0  # of what is cut now
        self.headings = [heading.start for heading in found.headings]
        self.blocks = [(start, end) for start, end in found.blocks if end - start <= MAX_CHARACTERS]
        self.starts = [start for start, _ in self.blocks]

    def spans(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each chunk of a part of the text, without the blanks around it."""
        self.length = self._strip(first, last)
        covered = start = self._skip(first)
        while covered < self.length:
            end = self._end(start, covered)
            if end is None:
                start = covered
                end = self._end(start, covered) or min(start + MAX_CHARACTERS, self.length)
            yield start, self._strip(start, end)
            covered = self._skip(end)
            start = self._begin(start, end, covered)

    def _skip(self, offset: int) -> int:
        match = BLANK.match(self.text, offset)
        return match.end() if match else offset

    def _strip(self, start: int, end: int) -> int:
        """Return where a part of the text ends without the blanks after it; a copy of the whole takes memory."""
        while start < end:
            low = max(start, end - MAX_CHARACTERS)
            if length := len(self.text[low:end].rstrip()):
                return low + length
            end = low
        return start

    def _end(self, start: int, covered: int) -> int | None:
        """Return where the chunk from `start` ends, after `covered`; None where only a block's inside is in reach."""
        if self.length - start <= MAX_CHARACTERS:
            return self.length
        usual = max(start + MIN_CHARACTERS, covered + 1)
        return self._cut(usual, start + MAX_CHARACTERS) or self._cut(covered + 1, min(usual, start + MAX_CHARACTERS))

    def _begin(self, start: int, end: int, covered: int) -> int:
        """Return where the next chunk begins: a little before `covered`, or there after a heading or beside a block."""
        at = bisect_left(self.headings, end)
        if covered >= self.length or (at < len(self.headings) and self.headings[at] <= covered):
            return covered
        low = max(start + 1, end - MAX_OVERLAP)
        again = self._cut(low, max(low, end - MIN_OVERLAP), latest=False)
        return covered if again is None else min(self._skip(again), covered)

    def _cut(self, low: int, high: int, *, latest: bool = True) -> int | None:
        """Return the best place to cut in low..high, both included; of equally good ones the latest or the earliest."""
        pick = -1 if latest else 0
        first = bisect_left(self.headings, low)
        last = bisect_right(self.headings, high)
        if latest and first < last:
            return self.headings[last - 1]
        for place in PLACES:
            # A match may begin before the window, and must end in it.
            ends = (match.end() for match in place.finditer(self.text, max(0, low - 80), min(high + 80, self.length)))
            allowed = [end for end in ends if low <= end <= high and self._is_free(end)]
            if allowed:
                return allowed[pick]
        anywhere = range(high, low - 1, -1) if latest else range(low, high + 1)
        return next((offset for offset in anywhere if self._is_free(offset)), None)

    def _is_free(self, offset: int) -> bool:
        """Return whether no block has this offset in its inside."""
        at = bisect_left(self.starts, offset) - 1
        return at < 0 or offset >= self.blocks[at][1]
