"""Tables of comma-separated values: a paragraph for each row, in which each value keeps its column's name."""

import csv
import io
import itertools
from collections.abc import Iterator

from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed

from . import plain

DELIMITERS = ",;\t|"
MAX_FIELD_LENGTH = 1_000_000  # characters
MAX_COLUMNS = 5_000
MAX_NAME_LENGTH = 100  # characters: it is repeated in each row


class CsvLoader:
    """Satisfies `ports.Loader`."""

    def load(self, data: bytes) -> Parsed:
        """Return the rows as `name: value` lines; raises UnreadableDocument for no table or one without rows."""
        text = plain.decode(data)
        csv.field_size_limit(MAX_FIELD_LENGTH)
        with plain.reading("CSV file"):
            return plain.parsed(_bounded(_paragraphs(text)))


def _paragraphs(text: str) -> Iterator[str]:
    rows = (row for row in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if any(map(str.strip, row)))
    header = next(rows, [])
    if len(header) > MAX_COLUMNS:
        raise UnreadableDocument(f"The CSV file has more than {MAX_COLUMNS:,} columns.")
    names = [" ".join(name.split())[:MAX_NAME_LENGTH] or f"column {number}" for number, name in enumerate(header, 1)]
    first = next(rows, None)
    if first is None:  # one row alone is no header of anything
        yield ", ".join(" ".join(name.split()) for name in header if name.strip())
        return
    yield _paragraph(names, first)
    for row in rows:
        yield _paragraph(names, row)


def _paragraph(names: list[str], row: list[str]) -> str:
    unnamed = (f"column {number}" for number in itertools.count(len(names) + 1))
    named = zip(itertools.chain(names, unnamed), row)  # noqa: B905 - the names have no end
    return "\n".join(f"{name}: {' '.join(value.split())}" for name, value in named if value.strip())


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


def _delimiter(text: str) -> str:
    """Return which delimiter the first lines have most of, quoted text left out."""
    head = "".join(text[:10_000].split('"')[::2])
    return max(DELIMITERS, key=head.count)
