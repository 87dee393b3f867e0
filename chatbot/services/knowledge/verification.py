"""Verification of the whole knowledge base for an operator: its contents and their consistency."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import Chunk, ChunkVector, Collection, Document, DocumentPiece, EmbeddingSpace, User
from chatbot.models.knowledge import has_dimension

from . import records

BATCH = 200  # documents that are looked at together


def collections() -> list[records.CollectionSummary]:
    """Return all collections with their owners and counts."""
    count = sa.select(sa.func.count()).where(Document.collection_id == Collection.id).scalar_subquery()
    columns = (Collection.id, Collection.name, Collection.visibility, Collection.chunks, Collection.size.label("bytes"))
    statement = sa.select(*columns, User.email.label("owner"), count.label("documents"))
    statement = statement.outerjoin(User, User.id == Collection.owner_id).order_by(Collection.created_at)
    with read() as connection:
        return [records.CollectionSummary(**row._mapping) for row in connection.execute(statement)]


def find_ingested(ids: Sequence[UUID]) -> list[records.IngestedDocument]:
    """Return those of some documents that are ready or have failed."""
    found: list[records.IngestedDocument] = []
    for start in range(0, len(ids), BATCH):
        statement = sa.select(Document.id, Document.status, Document.reason)
        these = Document.id.in_(ids[start : start + BATCH])
        with read() as connection:
            rows = connection.execute(statement.where(these, Document.status.in_(("ready", "failed"))))
            found += [records.IngestedDocument(**row._mapping) for row in rows]
    return found


def count() -> int:
    """Return how many documents there are."""
    with read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(Document)) or 0


def verify(on_batch: Callable[[int], None]) -> Iterator[str]:
    """Look at every document and collection; yield one sentence for each fault."""
    last = UUID(int=0)
    space = _space()
    while True:
        with read() as connection:
            rows = connection.execute(_documents(space).where(Document.id > last).limit(BATCH)).all()
        for row in rows:
            yield from _faults(row, space)
        if not rows:
            break
        last = rows[-1].id
        on_batch(len(rows))
    yield from _collection_faults()


def _documents(space: str | None) -> sa.Select[Any]:
    chunk = sa.select(sa.func.count()).select_from(Chunk).where(Chunk.document_id == Document.id)
    dimension = sa.select(EmbeddingSpace.dimension).where(EmbeddingSpace.name == space).scalar_subquery()
    usable = sa.and_(ChunkVector.chunk_id == Chunk.id, ChunkVector.space == space, has_dimension(dimension))
    vector = chunk.join(ChunkVector, usable)
    return sa.select(
        Document.id,
        Document.title,
        Document.chunks,
        chunk.where(Chunk.version == Document.version).scalar_subquery().label("live"),
        chunk.where(Chunk.version != Document.version).scalar_subquery().label("old"),
        vector.scalar_subquery().label("vectors"),
    ).order_by(Document.id)


def _faults(row: sa.Row[Any], space: str | None) -> Iterator[str]:
    name = f"Document {row.id} ({row.title})"
    if row.live != row.chunks:
        yield f"{name} has {row.live} passages and should have {row.chunks}."
    if row.old:
        yield f"{name} has {row.old} passages of another version."
    if row.vectors < row.live:
        yield f"{name} has {row.live - row.vectors} passages without a vector of {space}; `flask knowledge reindex`."


def _collection_faults() -> Iterator[str]:
    chunks = sa.select(sa.func.count()).where(Chunk.collection_id == Collection.id).scalar_subquery()
    size = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(DocumentPiece.data)), 0)).join(Document)
    size = size.where(Document.collection_id == Collection.id)
    statement = sa.select(Collection.id, Collection.chunks, chunks, Collection.size, size.scalar_subquery())
    with read() as connection:
        for identity, recorded, there, recorded_bytes, bytes_there in connection.execute(statement):
            if (recorded, recorded_bytes) != (there, bytes_there):
                counts = f"{recorded} passages and {recorded_bytes} bytes; there are {there} and {bytes_there}"
                yield f"Collection {identity} counts {counts}."


def _space() -> str | None:
    with read() as connection:
        name: str | None = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active))
        return name
