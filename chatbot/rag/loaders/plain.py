"""Shared parts of loaders: bytes to clean text, and errors of libraries to ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.rag.errors import DocumentError, UnreadableDocument
from chatbot.rag.types import Parsed

from . import encodings

MAX_TEXT_CHARACTERS = 20_000_000  # code points: a hundred thick books
MAX_TITLE_LENGTH = 200
MAX_WARNINGS = 20

NEWLINES = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
SURROGATES = re.compile("[\ud800-\udfff]")
TERMINAL_SEQUENCES = re.compile("\x1b\\[[0-9;?]{0,40}[A-Za-z]")
# Controls and invisible characters: soft hyphens, blanks without width, bidi controls, tags. Joiners have a meaning.
CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
# Bullets and icons of fonts. Between letters they may be letters of a private alphabet, and beside a digit another one.
PRIVATE_MARKS = re.compile(
    rf"(?<!\w)(?<!{PRIVATE.pattern}){PRIVATE.pattern}++(?!\d)[ \t]?|(?<=[^\W\d]){PRIVATE.pattern}++(?!\w)"
)
DATA_IMAGE = re.compile(r"!\[([^\[\]\n]{0,500})\]\(data:[^)\s]{0,100};base64,[A-Za-z0-9+/=%]*\)")
DATA_ADDRESS = re.compile(r"data:[\w.+/-]{1,100};base64,[A-Za-z0-9+/=%]{40,}")


def decode(data: bytes, declared: str | None = None) -> str:
    """Return bytes as clean text, in the encoding that `encodings` finds."""
    return clean(encodings.decode(data, declared))


def clean(text: str) -> str:
    """Return a text with one kind of newline, without control and invisible characters, icons, and pictures as data."""
    if SURROGATES.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    text = CONTROLS.sub("", NEWLINES.sub("\n", TERMINAL_SEQUENCES.sub("", text)))
    if PRIVATE.search(text):
        text = PRIVATE_MARKS.sub("", text)
    if ";base64," not in text:
        return text
    return DATA_ADDRESS.sub("", DATA_IMAGE.sub(r"\1", text))


def parsed(text: str, title: str | None = None, pages: tuple[int, ...] = (), warnings: tuple[str, ...] = ()) -> Parsed:
    """Return the parsed text, with its title in one short line.

    Raises UnreadableDocument when there is no text, or more than a person would read.
    """
    if not text or text.isspace():
        raise UnreadableDocument("The document has no text.")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise UnreadableDocument(f"The document has more than {MAX_TEXT_CHARACTERS:,} characters of text.")
    return Parsed(
        text, " ".join(clean(title or "").split())[:MAX_TITLE_LENGTH].rstrip() or None, pages, _bounded(warnings)
    )


def _bounded(warnings: tuple[str, ...]) -> tuple[str, ...]:
    if len(warnings) <= MAX_WARNINGS:
        return warnings
    return (*warnings[:MAX_WARNINGS], f"{len(warnings) - MAX_WARNINGS:,} more parts could not be read.")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn a library's errors over a broken file into UnreadableDocument, with the noun of its format."""
    try:
        yield
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableDocument(f"The {what} is broken and cannot be read.") from error
