"""Media types of files by name and content, and safe file names. A name is never a path."""

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from chatbot.rag.errors import TypeMismatch, UnsupportedType
from chatbot.rag.text.normalization import nfkc

from . import encodings, plain

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "markdown": "text/markdown",
    "html": "text/html",
    "htm": "text/html",
    "csv": "text/csv",
    "pdf": PDF,
    "docx": DOCX,
}
ALIASES = {
    "application/x-pdf": PDF,
    "application/xhtml+xml": "text/html",
    "text/x-markdown": "text/markdown",
    "application/csv": "text/csv",
    "text/x-csv": "text/csv",
}
TEXTS = {"text/html", "text/plain", "text/markdown", "text/csv", *ALIASES} - {"application/x-pdf"}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream", "application/force-download", "application/download"}
NOUNS = {"text/markdown": "Markdown", "text/html": "HTML", "text/csv": "CSV", PDF: "PDF", DOCX: "Word"}
FOREIGN = (  # how formats begin that can be free of NUL
    b"%PDF-", b"PK\x03\x04", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"\x89PNG", b"GIF8", b"\xff\xd8\xff",
)  # fmt: skip
CONTROLS = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\x1b"))
SNIFFED_BYTES = 65_536  # bytes that are looked at for more than a mark
TAG = re.compile(r"<[A-Za-z!]")
SEPARATORS = re.compile(r"[/\\]")
DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM\d|LPT\d)(?:\..*)?", re.IGNORECASE)
MAX_NAME_LENGTH = 4_096
MAX_DECODINGS = 8
UNTITLED = "Untitled document"


def media_type(name: str, data: bytes) -> str:
    """Return the media type that a file's name tells and its content confirms.

    Raises UnsupportedType for another format, TypeMismatch when the content is not what the name says.
    """
    found = TYPES.get(_suffix(name))
    if found is None:
        raise UnsupportedType(f"Only these files are read: {', '.join(TYPES)}.")
    if not _is(found, data):
        raise TypeMismatch(f"The file's name says {NOUNS.get(found, 'text')}, but its content is something else.")
    return found


def of_fetched(declared_type: str, names: Sequence[str], data: bytes) -> str:
    """Return the media type of a fetched file: the first of the told ones that its content confirms.

    Without a word of the server's and a name that tells, the content alone decides. Raises UnsupportedType,
    TypeMismatch.
    """
    declared = ALIASES.get(declared_type, declared_type)
    if declared == "text/html" and _is_text(data):  # a browser shows it, with tags or without
        return declared
    candidates = [declared, *(TYPES.get(_suffix(name), "") for name in names)]
    known = [one for one in candidates if one in TYPES.values()]
    found = next((one for one in known if _is(one, data)), None)
    if found is not None:
        return found
    if known:
        raise TypeMismatch(f"It should be {NOUNS.get(known[0], 'text')}, but its content is something else.")
    if declared in UNTOLD:
        found = next((one for one in (PDF, DOCX, "text/html") if _is(one, data)), None)
    if found is None:
        raise UnsupportedType(f"Only these files are read: {', '.join(TYPES)}.")
    return found


def _suffix(name: str) -> str:
    return name.strip().rpartition(".")[2].lower() if "." in name else ""


def title(name: str) -> str:
    """Return a title from any name: one line without path, control or bidi characters, 1 to 200 code points."""
    name = _last_part(_decoded(name[-MAX_NAME_LENGTH:]))
    stem, dot, suffix = name.rpartition(".")
    if dot and suffix.strip().lower() in TYPES:
        name = stem
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in name)
    name = re.sub(r"^(?:[A-Za-z]:|[.~ ])+", "", " ".join(visible.split()))[: plain.MAX_TITLE_LENGTH].rstrip(". ")
    if DEVICES.fullmatch(name):
        return f"{name} (document)"[: plain.MAX_TITLE_LENGTH]
    return name or UNTITLED


def _decoded(name: str) -> str:
    for _ in range(MAX_DECODINGS):
        before = name
        name = nfkc(unquote(name))[-MAX_NAME_LENGTH:]
        if name == before:
            break
    return name


def _last_part(name: str) -> str:
    """Return the part after the last separator; a NUL must not hide the rest."""
    return next((part for part in reversed(SEPARATORS.split(name.replace("\0", " "))) if part.strip(". ")), "")


def _is(found: str, data: bytes) -> bool:
    if found == PDF:
        return b"%PDF-" in data[:SNIFFED_BYTES]
    if found == DOCX:  # the archive itself is only opened where memory has a limit
        return data.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in data and b"word/" in data
    return _is_text(data) and (found != "text/html" or bool(TAG.search(plain.decode(data[:SNIFFED_BYTES]))))


def is_foreign(data: bytes) -> bool:
    """Return whether a file begins as one of the formats that are no text."""
    return data.startswith(FOREIGN)


def _is_text(data: bytes) -> bool:
    head = data[:SNIFFED_BYTES]
    if encodings.is_wide(head):
        return True
    controls = len(head) - len(head.translate(None, CONTROLS))
    return not data.startswith(FOREIGN) and controls * 50 <= len(head) and head.count(0) * 10 <= len(head)
