"""Tables of comma-separated values: a paragraph for each row, in which each value keeps its column's name."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed

from . import plain

DELIMITERS = ",;\t|"
MAX_FIELD_LENGTH = 1_000_000  # characters
MAX_COLUMNS = 5_000
MAX_NAME_LENGTH = 100  # characters: it is repeated in each row
SAMPLE_CHARACTERS = 20_000  # in which delimiter, titles and header are found
MAX_TITLE_ROWS = 10
MAX_SAMPLE_ROWS = 100
MAX_QUOTED_LINES = 200  # of one value
# Numbers, dates, times, percentages, amounts: what a column's name is not.
VALUE = re.compile(r"[-+(]?[$€£¥]?\s?\d[\d.,:/ TZ'-]{0,40}\s?[%€$£¥)]?")
SEPARATOR = re.compile(r"sep=([^\"\n])[ ]?\n", re.IGNORECASE)  # the first line, for Excel alone
YEAR = re.compile(r"(?:19|20|21)\d\d")

Row = Sequence[str]


class CsvLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the rows as `name: value` lines; raises UnreadableDocument for no table or one without rows."""
        text = plain.decode(data)
        csv.field_size_limit(MAX_FIELD_LENGTH)
        with plain.reading("CSV file"):
            return plain.parsed(_bounded(_paragraphs(text)))


@dataclass(frozen=True, slots=True)
class _Layout:
    """The rows in front of the values: titles above the table, and the columns' names."""

    title_rows: int
    has_header: bool


def _paragraphs(text: str) -> Iterator[str]:
    declared = SEPARATOR.match(text)
    if declared:
        text = text[declared.end() :]
    delimiter = declared[1] if declared else _delimiter(text)
    layout = _layout(_sample(text, delimiter))
    rows = _rows(text, delimiter)
    for row in itertools.islice(rows, layout.title_rows):
        yield _joined(row)
    header = next(rows, []) if layout.has_header else []
    if len(header) > MAX_COLUMNS:
        raise UnreadableDocument(f"The CSV file has more than {MAX_COLUMNS:,} columns.")
    names = [_cleaned(name)[:MAX_NAME_LENGTH] or f"column {number}" for number, name in enumerate(header, 1)]
    first = next(rows, None)
    if first is None:  # one row alone is no header of anything
        yield _joined(header)
        return
    for row in itertools.chain([first], rows):
        yield _paragraph(names, row)


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    """Yield the rows with any text; in a line with an open quote, quotes are characters."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        quoted = next((at for at in range(number, len(lines)) if '"' in lines[at]), len(lines))
        yield from _filled(csv.reader(lines[number:quoted], delimiter=delimiter))
        number = quoted
        if number < len(lines):
            rows, taken = _record(lines, number, delimiter)
            number += taken
            yield from _filled(rows)


def _filled(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if any(map(str.strip, row)))


def _record(lines: list[str], number: int, delimiter: str) -> tuple[list[Row], int]:
    """Return the rows of a line, or of as many as its quotes bind together, and how many lines that are."""
    quotes = 0
    for end in range(number, min(number + MAX_QUOTED_LINES, len(lines))):
        quotes += lines[end].count('"')
        if quotes % 2 == 0:
            record = lines[number : end + 1]
            with suppress(csv.Error):
                return list(csv.reader([line + "\n" for line in record], delimiter=delimiter, strict=True)), len(record)
            break
    if lines[number].count('"') % 2 == 0:  # quotes inside a value, or a value that is too long
        return list(csv.reader([lines[number]], delimiter=delimiter)), 1
    unquoted = csv.reader([lines[number]], delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return [[value.strip().strip('"') for value in row] for row in unquoted], 1


def _sample(text: str, delimiter: str) -> list[Row]:
    return list(_rows(_head(text), delimiter))


def _head(text: str) -> str:
    """Return the first lines, whole ones where there are any."""
    head = text[:SAMPLE_CHARACTERS]
    return head if len(text) <= SAMPLE_CHARACTERS else head.rpartition("\n")[0] or head


def _delimiter(text: str) -> str:
    """Return the delimiter by which most rows have the same number of columns, and more than one."""

    def consistency(delimiter: str) -> tuple[float, int]:
        rows = list(csv.reader(io.StringIO(_head(text)), delimiter=delimiter))
        widths = Counter(len(row) for row in rows if any(map(str.strip, row)))
        wide = [(count / widths.total(), width) for width, count in widths.items() if width > 1]
        return max(wide, default=(0.0, 0))

    return max(DELIMITERS, key=consistency)


def _layout(rows: list[Row]) -> _Layout:
    """Find titles above the table, which fill one column of several, and whether the next row names columns."""
    filled = [sum(bool(value.strip()) for value in row) for row in rows]
    titles = 0
    if max(filled[MAX_TITLE_ROWS:] or filled, default=0) > 1:
        titles = next((number for number, count in enumerate(filled[: MAX_TITLE_ROWS + 1]) if count > 1), 0)
    table = rows[titles:]
    if titles and (len(table) < 2 or not all(map(str.strip, table[0]))):
        titles = 0
        table = rows
    return _Layout(titles, not table or _names_columns(table[0], table[1:]))


def _names_columns(first: Row, rest: list[Row]) -> bool:
    """Return whether a row is of another kind than the values below it: no column goes on with values from it."""
    for number, name in enumerate(first):
        if not VALUE.fullmatch(name.strip()):
            continue
        below = [row[number].strip() for row in rest[:MAX_SAMPLE_ROWS] if number < len(row) and row[number].strip()]
        if not below:
            continue
        years = YEAR.fullmatch(name.strip()) and not all(map(YEAR.fullmatch, below))
        values = sum(bool(VALUE.fullmatch(value)) for value in below)
        if values * 2 > len(below) and not years:
            return False
    return True


def _paragraph(names: list[str], row: Row) -> str:
    unnamed = (f"column {number}" for number in itertools.count(len(names) + 1))
    named = zip(itertools.chain(names, unnamed), row)  # noqa: B905 - the names have no end
    return "\n".join(f"{name}: {_cleaned(value)}" for name, value in named if value.strip())


def _joined(row: Row) -> str:
    return ", ".join(_cleaned(value) for value in row if value.strip())


def _cleaned(value: str) -> str:
    return " ".join(value.split())


def _bounded(paragraphs: Iterator[str]) -> str:
    """Join until it is more than a document may have: long names in each of many rows are a bomb too."""
    parts = []
    size = 0
    for paragraph in paragraphs:
        parts.append(paragraph)
        size += len(paragraph) + 2
        if size > plain.MAX_TEXT_CHARACTERS + 2:
            break
    return "\n\n".join(parts)
