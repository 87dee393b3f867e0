"""The structure of Markdown that matters for chunking: headings, fenced code, tables and their rows.

One pass with one expression that matches only such lines: a text of megabytes takes a fraction of a second.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .fences import Fence

MAX_TITLE_OFFSET = 20_000  # characters in which a title is looked for
MAX_HEADING_LENGTH = 200  # characters kept of a heading, and looked at for an underlined one

# Bounded repetitions only: no line is read twice. The groups of ATX, setext and fence follow CommonMark 0.31.
LINE = re.compile(
    r"^ {0,3}(?:"
    r"(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})(?P<info>[^\n]*)"
    r"|(?P<hashes>\#{1,6})(?:[ \t]+(?P<atx>[^\n]*))?$"
    r"|(?P<row>\|)[^\n]*"
    rf"|(?P<setext>[^\s|>\#`~=-][^\n]{{0,{MAX_HEADING_LENGTH}}})\n {{0,3}}(?P<line>={{3,}}|-{{3,}})[ \t]*$"
    r")",
    re.MULTILINE,
)
SLICE = 100_000  # characters that are searched at a time
UNDERLINE = re.compile(r" {0,3}[=-]")
DELIMITERS = re.compile(r" {0,3}\|(?:[ \t]{0,80}:?-{1,80}:?[ \t]{0,80}\|)+")  # the row below the names of columns
MAX_COLUMNS_LENGTH = 600  # characters kept of the names: they are indexed with each chunk of the table
LINK = re.compile(r"\[([^\[\]\n]{0,200})\]\([^()\s]{0,200}(?: \"[^\"\n]{0,200}\")?\)")
STRONG = re.compile(r"\*\*(?!\s)([^*\n]{1,200})(?<!\s)\*\*")
CLOSING_HASHES = re.compile(r"(?:^|(?<=\s))#+\s*$")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and the path to it, its own words last; `start` is the offset of its line, `level` 1 to 6."""

    start: int
    path: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a row of names: `start` and `end` are the offsets of its rows of values."""

    start: int
    end: int
    columns: str


@dataclass(slots=True)
class Outline:
    """The headings and tables of a text, and the spans (start, end) that are fenced code or a table's row, in order."""

    headings: list[Heading] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def path(self, offset: int) -> tuple[str, ...]:
        """Return the path of headings under which this offset is."""
        at = bisect_right(self.headings, offset, key=lambda heading: heading.start)
        return self.headings[at - 1].path if at else ()

    def columns(self, offset: int) -> str:
        """Return the row of names of the table around this offset, or an empty string."""
        at = bisect_right(self.tables, offset, key=lambda table: table.start)
        return self.tables[at - 1].columns if at and offset < self.tables[at - 1].end else ""


def outline(text: str) -> Outline:
    """Return the outline of a text; fenced code that is never closed goes to the text's end."""
    found = Outline()
    levels: list[tuple[int, str]] = []
    rows: list[tuple[int, int]] = []  # of one table
    for match in _outside_code(text, found.blocks):
        if match["row"]:
            found.blocks.append(match.span())
            if rows and rows[-1][1] + 1 != match.start():
                found.tables += _tables(text, rows)
                rows = []
            rows.append(match.span())
            continue
        level, words = _heading(match)
        while levels and levels[-1][0] >= level:
            levels.pop()
        levels.append((level, words))
        found.headings.append(Heading(match.start(), tuple(words for _, words in levels if words), level))
    found.tables += _tables(text, rows)
    return found


def _tables(text: str, rows: list[tuple[int, int]]) -> list[Table]:
    """Return the table of adjacent rows, or none where they have no row of names."""
    if len(rows) < 3 or not DELIMITERS.fullmatch(text[slice(*rows[1])].rstrip()):
        return []
    first, last = rows[0]
    return [Table(rows[2][0], rows[-1][1], text[first : min(last, first + MAX_COLUMNS_LENGTH)].strip())]


def first_heading(text: str) -> str | None:
    """Return the first heading of level 1 near the text's beginning, code left out."""
    titles = (
        heading.path[-1] for heading in outline(text[:MAX_TITLE_OFFSET]).headings if heading.level == 1 and heading.path
    )
    return next(titles, None)


def replace_outside_code(text: str, replace: Callable[[str], str]) -> str:
    """Return a text with each part outside of fenced code replaced."""
    parts = []
    end = 0
    for start, stop in outline(text).blocks:
        if text[start:stop].lstrip(" ")[:1] in ("`", "~"):
            parts += [replace(text[end:start]), text[start:stop]]
            end = stop
    return "".join([*parts, replace(text[end:])])


def _outside_code(text: str, blocks: list[tuple[int, int]]) -> Iterator[re.Match[str]]:
    fence: Fence | None = None
    start = 0
    for match in _lines(text):
        run = match["fence"]
        if fence is None and run:
            fence = Fence(run[0], len(run))
            start = match.start()
        elif fence is None:
            yield match
        elif run and fence.closed_by(run, indent=0) and not match["info"].strip():
            blocks.append((start, match.end()))
            fence = None
    if fence is not None:
        blocks.append((start, len(text)))


def _lines(text: str) -> Iterator[re.Match[str]]:
    """Yield the lines that matter, slice by slice: one search through a thick book holds all threads for a second."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + SLICE, start + 2 * SLICE) + 1 or start + 2 * SLICE
        while UNDERLINE.match(text, end):  # a heading's, whose words are in this slice
            end = text.find("\n", end) + 1 or len(text)
        yield from LINE.finditer(text, start, end)
        start = end


def _heading(match: re.Match[str]) -> tuple[int, str]:
    """Return the level of a heading and its words, without addresses of links and marks."""
    if match["hashes"]:
        words = CLOSING_HASHES.sub("", (match["atx"] or "")[:MAX_HEADING_LENGTH])
        level = len(match["hashes"])
    else:
        words = match["setext"]
        level = 1 if match["line"].startswith("=") else 2
    return level, STRONG.sub(r"\1", LINK.sub(r"\1", words)).strip()
