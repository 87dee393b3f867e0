"""Stored contents of documents: their bytes in pieces, the owner's usage, and the feed of changes."""

import functools
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from chatbot.database.compiled import Prepared
from chatbot.database.types import now
from chatbot.errors import DocumentTooLarge, Forbidden, NotFound, QuotaExceeded
from chatbot.models import Chunk, Collection, Document, DocumentFact, DocumentPiece, KnowledgeChange, User
from chatbot.rag.text import chunking
from chatbot.services.accounts.callers import Caller

from . import metadata
from .permissions import caller_placeholder, may_read, may_write

PIECE_BYTES = 1 << 20  # bytes
ROW_BYTES = 500  # that a document or collection takes beside its content
MAX_BYTES_PER_CHARACTER = 4  # of a character in UTF-8
MAX_CHUNKS_PER_DELETE = 500  # passages that one statement deletes, with their vectors: 5 ms

# Made once: SQLAlchemy took 60 % of an upload, and most of that to make statements.
_owners = sa.select(Collection.owner_id).where(Collection.id.in_(sa.bindparam("collection_ids", expanding=True)))
LOCK_OWNERS = sa.select(User.id).where(User.id.in_(_owners)).order_by(User.id).with_for_update(key_share=True)
GROW = (
    sa.update(Collection)
    .where(Collection.id == sa.bindparam("collection_id"))
    .values(
        size=Collection.size + sa.bindparam("more"),
        described_bytes=Collection.described_bytes + sa.bindparam("more_described"),
        updated_at=sa.bindparam("moment", type_=Collection.updated_at.type),
    )
    .returning(Collection.owner_id)
)
# Neither database's length of bytes is the other's.
_description = MAX_BYTES_PER_CHARACTER * sa.func.length(Collection.description)
_taken = Collection.size + Collection.described_bytes + _description + ROW_BYTES
USED = sa.select(sa.func.sum(_taken)).where(Collection.owner_id == sa.bindparam("its_owner"))
INSERT_PIECE = Prepared(sa.insert(DocumentPiece))
INDEXED = (Chunk.headings, Chunk.columns, Chunk.text, Document.title)  # what `indexed_text` reads


def indexed_text(row: Any) -> str:
    """Return the text of a chunk for the indexes, from a row with the columns INDEXED."""
    return chunking.indexed_text(row.title, row.headings.split("\n"), row.columns, row.text)


@dataclass(frozen=True, slots=True)
class Content:
    """The source of a document: its bytes in pieces of at most 1 MB, or an address to fetch them from."""

    title: str
    media_type: str
    pieces: tuple[bytes, ...] = ()
    url: str | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.pieces))

    def hash(self) -> bytes | None:
        """Return the SHA-256 of the content, or None before it is fetched."""
        return None if self.url else digest(self.pieces)


def digest(pieces: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of some pieces; others may run in between."""
    made = hashlib.sha256()
    for piece in pieces:
        made.update(piece)
        time.sleep(0)
    return made.digest()


def require_size(size: int) -> None:
    """Raise DocumentTooLarge for more bytes than a document may have."""
    max_bytes = current_app.config["DOCUMENT_BYTES"]
    if size > max_bytes:
        raise DocumentTooLarge(f"A document may have {max_bytes:,} bytes.")


def split_into_pieces(data: bytes) -> tuple[bytes, ...]:
    """Return data in pieces as they are stored; raises DocumentTooLarge."""
    require_size(len(data))
    return tuple(data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)) or (b"",)


def lock(connection: sa.Connection, caller: Caller, collection_id: UUID) -> None:
    """Lock a collection that is to be written; raises NotFound, and Forbidden for one that may only be read."""
    named = {"caller_id": caller.user_id, "collection_id": collection_id}
    if connection.scalar(_writable(caller.role), named) is not None:
        return
    readable = sa.select(Collection.id).where(Collection.id == collection_id, may_read(caller))
    if connection.scalar(readable) is None:
        raise NotFound("There is no such collection.")
    raise Forbidden("You may only read this collection.")


@functools.cache
def _writable(role: str) -> sa.Select[UUID]:
    """Return the collection `:collection_id`, locked, if the caller may write it."""
    statement = sa.select(Collection.id).where(
        Collection.id == sa.bindparam("collection_id"), may_write(caller_placeholder(role))
    )
    return statement.with_for_update()


def lock_owners(connection: sa.Connection, collection_ids: Iterable[UUID]) -> None:
    """Lock the owners of locked collections, in order; rows that refer to them may still be written."""
    connection.execute(LOCK_OWNERS, {"collection_ids": list(collection_ids)}).all()


def adjust_usage(connection: sa.Connection, collection_id: UUID, size: int, described: int = 0) -> None:
    """Adjust the stored bytes of a collection: contents, and descriptions of documents.

    The owner is locked after the collection: what goes into two of them at once is counted one after the other. Raises
    QuotaExceeded when the owner has too many in all.
    """
    lock_owners(connection, [collection_id])
    more = {"more": size, "more_described": described}
    owner = connection.scalar(GROW, {"collection_id": collection_id, "moment": now(), **more})
    if size + described > 0 and owner is not None:
        require_quota(connection, owner)


def require_quota(connection: sa.Connection, owner_id: UUID) -> None:
    """Raise QuotaExceeded when a user has more than all their documents and collections may take."""
    used = connection.scalar(USED, {"its_owner": owner_id}) or 0
    if used > current_app.config["KNOWLEDGE_BYTES"]:
        raise QuotaExceeded(f"All documents together may have {current_app.config['KNOWLEDGE_BYTES']} bytes.")


def described_bytes(title: str, details: dict[str, Any] | None) -> int:
    """Return the bytes of a document beside its content: its row, and its metadata as JSON and as facts."""
    return ROW_BYTES + len(title.encode()) + 2 * len(json.dumps(details or {}))


def record_changes(connection: sa.Connection, collection_id: UUID, grown: Mapping[UUID, int]) -> None:
    """Record changes of documents for the indexes of a collection.

    `grown` has, by document, how many chunks more (or fewer) it has.
    """
    statement = sa.insert(KnowledgeChange).returning(KnowledgeChange.id)
    at = now()
    rows = [{"collection_id": collection_id, "document_id": one, "created_at": at} for one in grown]
    change = max(connection.scalars(statement, rows))
    values = {"chunks": Collection.chunks + sum(grown.values()), "last_change": change}
    connection.execute(sa.update(Collection).where(Collection.id == collection_id).values(**values))


def delete_pieces(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    """Let go of stored pieces; returns how many bytes they had."""
    size = connection.scalar(sa.select(sa.func.sum(sa.func.length(DocumentPiece.data))).where(*which)) or 0
    connection.execute(sa.delete(DocumentPiece).where(*which))
    return int(size)


def delete_documents(connection: sa.Connection, collection_id: UUID, chunks: Mapping[UUID, int]) -> None:
    """Delete documents of a locked collection and all that is searched of them; `chunks` has how many each has."""
    ids = list(chunks)
    delete_chunks(connection, Chunk.document_id.in_(ids))
    size = delete_pieces(connection, DocumentPiece.document_id.in_(ids))
    described = connection.scalar(sa.select(sa.func.sum(Document.described_bytes)).where(Document.id.in_(ids))) or 0
    connection.execute(sa.delete(Document).where(Document.id.in_(ids)))
    adjust_usage(connection, collection_id, -size, -described)
    record_changes(connection, collection_id, {one: -count for one, count in chunks.items()})


def delete_chunks(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Delete passages some at a time: in one statement those of a thick book would hold every stream for a while."""
    some = sa.select(Chunk.id).where(which).limit(MAX_CHUNKS_PER_DELETE)
    while ids := connection.scalars(some).all():
        connection.execute(sa.delete(Chunk).where(Chunk.id.in_(ids)))
        time.sleep(0)


def insert_pieces(connection: sa.Connection, document_id: UUID, version: int, pieces: Sequence[bytes]) -> None:
    """Keep the content of a document's version."""
    for position, data in enumerate(pieces):
        values = {"document_id": document_id, "version": version, "position": position, "data": data}
        INSERT_PIECE.run(connection, values)
        time.sleep(0)


def write_facts(connection: sa.Connection, document_id: UUID, details: dict[str, Any]) -> None:
    """Keep a document's metadata as filters look for it."""
    connection.execute(sa.delete(DocumentFact).where(DocumentFact.document_id == document_id))
    facts = metadata.facts(document_id, details)
    if facts:
        connection.execute(sa.insert(DocumentFact), facts)


def add_warning(connection: sa.Connection, document_ids: Iterable[UUID], warning: str) -> dict[UUID, list[UUID]]:
    """Add a warning to those documents of locked collections that lack it; returns these, by collection."""
    changed: defaultdict[UUID, list[UUID]] = defaultdict(list)
    columns = (Document.id, Document.collection_id, Document.warnings)
    for row in connection.execute(sa.select(*columns).where(Document.id.in_(list(document_ids)))).all():
        if warning not in row.warnings:
            values = {"warnings": [*row.warnings, warning]}
            connection.execute(sa.update(Document).where(Document.id == row.id).values(**values))
            changed[row.collection_id].append(row.id)
    return changed


def withdraw_warning(connection: sa.Connection, document_ids: Iterable[UUID], warning: str) -> dict[UUID, list[UUID]]:
    """Remove an outdated warning from documents of locked collections; returns those that had it, by collection."""
    changed: defaultdict[UUID, list[UUID]] = defaultdict(list)
    statement = sa.select(Document.id, Document.collection_id, Document.warnings).where(
        Document.id.in_(list(document_ids))
    )
    for row in connection.execute(statement).all():
        if warning in row.warnings:
            left = [one for one in row.warnings if one != warning]
            connection.execute(sa.update(Document).where(Document.id == row.id).values(warnings=left))
            changed[row.collection_id].append(row.id)
    return changed
