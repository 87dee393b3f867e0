"""Where a document's text comes from: its stored pieces, or an address that is fetched now."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from chatbot import adapters
from chatbot.concurrency.threads import run_in_slow_thread
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import LeaseLost
from chatbot.models import Document, DocumentPiece
from chatbot.rag.errors import UnreadableDocument
from chatbot.rag.types import Parsed
from chatbot.services.knowledge import content, readers
from chatbot.services.knowledge.state import get_knowledge_state

from . import queue as queues

if TYPE_CHECKING:
    from .publication import Job

_version = (
    DocumentPiece.document_id == sa.bindparam("document_id"),
    DocumentPiece.version == sa.bindparam("its_version"),
)
SIZES = sa.select(sa.func.length(DocumentPiece.data)).where(*_version).order_by(DocumentPiece.position)
DATA = sa.select(DocumentPiece.data).where(*_version, DocumentPiece.position == sa.bindparam("place"))
LITTLE = 100_000  # bytes of them that are read on the spot, 3 ms; in a thread, one expression would hold all others


def parse_source(job: "Job") -> Parsed | None:
    """Return a document's text, or None when it is gone; raises a `rag.errors.DocumentError`."""
    if job.url is not None:
        _fetch(job)
    sizes = _piece_sizes(job)
    if not sizes:
        return None
    pieces = _pieces(job, len(sizes))
    size = sum(sizes)
    if job.media_type in queues.PLAIN and size < LITTLE:
        found: Parsed = adapters.create_loader(job.media_type).load(b"".join(pieces))
    else:
        found = _parse(job, size, pieces)
    if not found.text or found.text.isspace():
        raise UnreadableDocument("The document has no text.")
    return found


def _parse(job: "Job", size: int, pieces: Iterator[bytes]) -> Parsed:
    """Parse a document, and count the time for its owner; raises TooManyDocuments."""
    queues.require_parser_seconds(job.collection_id)
    started = time.monotonic()
    try:
        return get_knowledge_state().parser(job.queue).parse(job.media_type, size, pieces)
    finally:
        queues.spend_parser_seconds(job.collection_id, time.monotonic() - started)


def _piece_sizes(job: "Job") -> list[int]:
    """Return the sizes (bytes) of the stored pieces."""
    with read() as connection:
        return list(connection.scalars(SIZES, {"document_id": job.id, "its_version": job.version}))


def _pieces(job: "Job", count: int) -> Iterator[bytes]:
    """Yield the stored pieces, one in memory at a time; raises LeaseLost when they are gone meanwhile."""
    for position in range(count):
        with read() as connection:
            data = connection.scalar(DATA, {"document_id": job.id, "its_version": job.version, "place": position})
        if data is None:
            raise LeaseLost("The document was changed meanwhile.")
        yield data


def _fetch(job: "Job") -> None:
    """Fetch an address and store the document's content; raises AddressRefused, QuotaExceeded."""
    from chatbot.rag.http import fetch as url
    from chatbot.rag.loaders import encodings, sniffing

    allowed = current_app.config["INGEST_HOSTS"]
    fetched = url.fetch(str(job.url), allowed_hosts=frozenset(allowed) if allowed else None)
    data = fetched.data
    if fetched.charset is not None and not sniffing.is_foreign(data) and fetched.media_type in sniffing.TEXTS:
        data = run_in_slow_thread(encodings.transcode, data, fetched.charset)
    job.media_type = sniffing.of_fetched(fetched.media_type, fetched.names, data)
    pieces = content.split_into_pieces(data)
    same = content.digest(pieces)
    conditions = (Document.id == job.id, Document.lease_token == job.token)
    values: dict[str, Any] = {"media_type": job.media_type, "content_hash": same, "size": len(data)}
    with write("store_fetched", is_long=True) as connection:
        of_version = (DocumentPiece.document_id == job.id, DocumentPiece.version == job.version)
        dropped = content.delete_pieces(connection, *of_version)
        content.adjust_usage(connection, job.collection_id, len(data) - dropped)
        if connection.execute(sa.update(Document).where(*conditions).values(**values, updated_at=now())).rowcount != 1:
            raise LeaseLost("The document was changed meanwhile.")
        content.insert_pieces(connection, job.id, job.version, pieces)
        readers.record_documents(connection, {job.collection_id: [job.id]})
