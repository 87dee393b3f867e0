"""Publication: the chunks and vectors of documents and the switch to them, in one transaction.

Small documents share one: a transaction of its own for each took more time than reading and embedding it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import Chunk, ChunkVector, Collection, Document, DocumentPiece
from chatbot.observability import metrics
from chatbot.rag import types as rag
from chatbot.rag.text import chunking
from chatbot.services.knowledge import content, readers

from .queue import Queue

MAX_CHUNKS_PER_TRANSACTION = 200  # passages in one transaction, unless one document has more
MAX_ROWS_PER_STATEMENT = 100  # passages in one statement; between two, others run
CLEARED_LEASE: dict[str, Any] = {"lease_token": None, "lease_expires_at": None}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Job:
    """A document that this process works on, the token of its lease, its text and the passages in it.

    What is stored and embedded of a passage is made when it is: for a thick book it is three times the text.
    """

    token: UUID
    queue: Queue
    id: UUID
    collection_id: UUID
    version: int
    title: str
    media_type: str
    url: str | None
    attempts: int
    language: str | None
    text: str = ""
    chunks: Sequence[rag.Chunk] = ()
    warnings: Sequence[str] = ()

    def indexed(self) -> Iterator[str]:
        """Yield the text to embed of each chunk."""
        for chunk in self.chunks:
            text = self.text[chunk.start : chunk.end]
            yield chunking.indexed_text(self.title, chunk.headings, chunk.columns, text)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each chunk."""
        for position, chunk in enumerate(self.chunks):
            yield {
                "collection_id": self.collection_id,
                "document_id": self.id,
                "version": self.version,
                "position": position,
                "start": chunk.start,
                "end": chunk.end,
                "page": chunk.page,
                "headings": "\n".join(chunk.headings),
                "columns": chunk.columns,
                "language": self.language,
                "text": self.text[chunk.start : chunk.end],
            }


@dataclass(frozen=True, slots=True)
class DocumentVectors:
    """The vectors of documents and their embedding space.

    `by_document` has a vector or None for each passage of a document; passages without are found by words alone.
    """

    space: str | None = None
    by_document: Mapping[UUID, Any] = field(default_factory=dict)


def publish(jobs: Sequence[Job], vectors: DocumentVectors) -> None:
    """Switch documents to their new versions; those changed or deleted meanwhile are skipped."""
    for group in _split_into_groups(jobs):
        with write("switch_documents", is_long=True) as connection:
            held = _lock_documents(connection, group)
            owned_jobs = [job for job in group if job.id in held]
            if owned_jobs:
                _update_documents(connection, owned_jobs, held)
                _insert_chunks(connection, owned_jobs, vectors)
                _record_changes(connection, owned_jobs, held)
                readers.record_documents(connection, group_by_collection(owned_jobs))
        metrics.DOCUMENTS.labels("ready").inc(len(owned_jobs))
        for job in group:
            if job.id not in held:
                log.info("document changed meanwhile", document=str(job.id))


def group_by_collection(jobs: Sequence[Job]) -> dict[UUID, list[UUID]]:
    """Return the documents of some jobs by their collections."""
    ids: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for job in jobs:
        ids[job.collection_id].append(job.id)
    return ids


def _split_into_groups(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    group: list[Job] = []
    size = 0
    for job in jobs:
        if group and size + len(job.chunks) > MAX_CHUNKS_PER_TRANSACTION:
            yield group
            group = []
            size = 0
        group.append(job)
        size += len(job.chunks)
    if group:
        yield group


def _lock_documents(connection: sa.Connection, jobs: Sequence[Job]) -> "dict[UUID, sa.Row[Any]]":
    """Lock collections and documents; return those that are still ours, as they were until now."""
    collections = sa.select(Collection.id).where(Collection.id.in_({job.collection_id for job in jobs}))
    connection.execute(collections.order_by(Collection.id).with_for_update()).all()
    statement = sa.select(Document.__table__).where(Document.id.in_([job.id for job in jobs])).order_by(Document.id)
    rows = connection.execute(statement.with_for_update()).all()
    content.lock_owners(connection, {job.collection_id for job in jobs})  # all at once: two in two orders would wait
    ours = {(job.id, job.token, job.version) for job in jobs}
    return {row.id: row for row in rows if (row.id, row.lease_token, row.wanted_version) in ours}


def _update_documents(connection: sa.Connection, jobs: Sequence[Job], held: "Mapping[UUID, sa.Row[Any]]") -> None:
    """Mark documents as ready; delete the chunks and the bytes of older versions."""
    ready = {"status": "ready", "progress": 1.0, "attempts": 0, "error": None, "reason": None, **CLEARED_LEASE}
    ready |= {"wanted_title": None, "wanted_details": None}
    ready["details"] = sa.func.coalesce(Document.wanted_details, Document.details)
    changing = ("version", "title", "chunks", "warnings")
    statement = sa.update(Document).where(Document.id == sa.bindparam("which"))
    statement = statement.values(**ready, updated_at=now(), **{name: sa.bindparam(f"its_{name}") for name in changing})
    values = [
        {
            "which": job.id,
            "its_version": job.version,
            "its_title": job.title,
            "its_chunks": len(job.chunks),
            "its_warnings": list(job.warnings),
        }
        for job in jobs
    ]
    connection.execute(statement, values)
    for job in jobs:
        if (wanted := held[job.id].wanted_metadata) is not None:
            content.write_facts(connection, job.id, wanted)
        if held[job.id].chunks:
            content.delete_chunks(connection, Chunk.document_id == job.id)
        if job.version > 1:
            older = (DocumentPiece.document_id == job.id, DocumentPiece.version != job.version)
            content.adjust_usage(connection, job.collection_id, -content.delete_pieces(connection, *older))


def _insert_chunks(connection: sa.Connection, jobs: Sequence[Job], vectors: DocumentVectors) -> None:
    rows = ((row, vector) for job in jobs for row, vector in zip(job.rows(), _list_vectors(vectors, job), strict=True))
    statement = sa.insert(Chunk).returning(Chunk.id, sort_by_parameter_order=True)
    while part := list(islice(rows, MAX_ROWS_PER_STATEMENT)):
        ids = connection.scalars(statement, [chunk for chunk, _ in part]).all()
        values = [
            {"chunk_id": one, "space": vectors.space, "vector": vector.tobytes()}
            for one, (_, vector) in zip(ids, part, strict=True)
            if vector is not None
        ]
        if values:
            connection.execute(sa.insert(ChunkVector), values)
        time.sleep(0)


def _list_vectors(vectors: DocumentVectors, job: Job) -> Iterable[Any]:
    found: Iterable[Any] = vectors.by_document.get(job.id) or [None] * len(job.chunks)
    return found


def _record_changes(connection: sa.Connection, jobs: Sequence[Job], held: "Mapping[UUID, sa.Row[Any]]") -> None:
    for collection_id in sorted({job.collection_id for job in jobs}):
        grown = {job.id: len(job.chunks) - held[job.id].chunks for job in jobs if job.collection_id == collection_id}
        content.record_changes(connection, collection_id, grown)
