"""Tables of comma-separated values: a paragraph for each row, in which each value keeps its column's name."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
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
    titles = layout.title_rows
    names = None if layout.has_header else list[str]()
    unread: Row = []  # the names, until a row follows: one row alone is no header of anything
    for block in _blocks(_rows(text, delimiter)):
        head = list(itertools.islice(block, MAX_SAMPLE_ROWS))
        header = _find_header(head, names) if names is not None and not unread else None
        for number, row in enumerate(itertools.chain(head, block)):
            if titles or (header is not None and number < header):
                titles = max(0, titles - 1)
                yield _joined(row)
            elif names is None or number == header:
                unread = row if names is None else []
                names = _read_names(row)
            else:
                unread = []
                yield _paragraph(names, row)
    if unread:
        yield _joined(unread)


def _read_names(row: Row) -> list[str]:
    if len(row) > MAX_COLUMNS:
        raise UnreadableDocument(f"The CSV file has more than {MAX_COLUMNS:,} columns.")
    return [_cleaned(name)[:MAX_NAME_LENGTH] or f"column {number}" for number, name in enumerate(row, 1)]


def _blocks(rows: Iterator[Row]) -> Iterator[Iterator[Row]]:
    """Yield the runs of rows with any text; those without part them."""
    return (block for has_text, block in itertools.groupby(rows, _has_text) if has_text)


def _has_text(row: Row) -> bool:
    return any(map(str.strip, row))


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    """Yield the rows; in a line with an open quote, quotes are characters."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        quoted = next((at for at in range(number, len(lines)) if '"' in lines[at]), len(lines))
        yield from csv.reader(lines[number:quoted], delimiter=delimiter)
        number = quoted
        if number < len(lines):
            rows, taken = _record(lines, number, delimiter)
            number += taken
            yield from rows


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
    return list(filter(_has_text, _rows(_head(text), delimiter)))


def _head(text: str) -> str:
    """Return the first lines, whole ones where there are any."""
    head = text[:SAMPLE_CHARACTERS]
    return head if len(text) <= SAMPLE_CHARACTERS else head.rpartition("\n")[0] or head


def _delimiter(text: str) -> str:
    """Return the delimiter by which most rows have the same number of columns, and more than one."""

    def consistency(delimiter: str) -> tuple[float, int]:
        rows = list(csv.reader(io.StringIO(_head(text)), delimiter=delimiter))
        widths = Counter(len(row) for row in rows if _has_text(row))
        wide = [(count / widths.total(), width) for width, count in widths.items() if width > 1]
        return max(wide, default=(0.0, 0))

    return max(DELIMITERS, key=consistency)


def _layout(rows: list[Row]) -> _Layout:
    """Find the lines above the table, with half of its columns at most, and whether the next row names columns."""
    filled = list(map(_count_filled, rows))
    most = max(filled[: MAX_TITLE_ROWS + 1], default=0)
    titles = next((number for number, count in enumerate(filled) if count * 2 > most > 1), 0)
    are_wide = sum(count * 2 > most for count in filled[titles:]) * 2 > len(rows) - titles > 1
    if titles and not (
        are_wide and all(map(str.strip, rows[titles])) and not _has_values_below(rows[0], rows[1:titles])
    ):
        titles = 0
    table = rows[titles:]
    return _Layout(titles, not table or _names_columns(table[0], table[1:]))


def _count_filled(row: Row) -> int:
    return sum(bool(value.strip()) for value in row)


def _find_header(rows: list[Row], names: list[str]) -> int | None:
    """Return which of the first rows behind an empty one names the columns of another table; None without one."""
    at = next((number for number, row in enumerate(rows[: MAX_TITLE_ROWS + 1]) if _count_filled(row) > 1), len(rows))
    if len(rows) - at < 2 or any(VALUE.fullmatch(name.strip()) for name in rows[at]):
        return None
    first = _count_filled(rows[at])
    widths = set(map(_count_filled, rows[at + 1 :]))
    named = sum(name != f"column {number}" for number, name in enumerate(names, 1))
    is_of_another_width = first != named and widths == {first}
    return at if is_of_another_width or _has_values_below(rows[at], rows[at + 1 :]) else None


def _has_values_below(first: Row, rest: list[Row]) -> bool:
    """Return whether a text stands above two values or more, and no other text, in a column."""
    columns = ([row[number].strip() for row in rest if number < len(row)] for number in range(len(first)))
    return any(
        bool(name.strip()) and not VALUE.fullmatch(name.strip()) and len(below) > 1 and all(map(VALUE.fullmatch, below))
        for name, below in zip(first, columns, strict=True)
    )


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
