"""Documents: create, replace, list, retry and delete. Ingestion makes them searchable later."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import ExternalIdTaken, InvalidInput, NotFailed, NotFound
from chatbot.models import Chunk, Collection, Document, DocumentPiece
from chatbot.services import idempotency
from chatbot.services.accounts import authentication
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.state import get_knowledge_state

from . import readers, records
from .content import (
    Content,
    adjust_usage,
    delete_documents,
    delete_pieces,
    described_bytes,
    insert_pieces,
    lock,
    write_facts,
)
from .document_watch import DocumentWatch
from .ingestion import queue as queues
from .permissions import may_read

FIELDS = tuple(Document.__table__.c[field.name] for field in dataclasses.fields(records.Document))
CHUNK_FIELDS = tuple(Chunk.__table__.c[field.name] for field in dataclasses.fields(records.Chunk))

# Made once, as in `content`.
INSERT = sa.insert(Document).returning(*FIELDS)
_here = sa.select(Document.id, Document.content_hash, Document.url).where(
    Document.collection_id == sa.bindparam("collection_id")
)
NAMED = _here.where(Document.external_id == sa.bindparam("name"))
ALIKE = _here.where(Document.content_hash == sa.bindparam("hash")).limit(1)


@dataclass(frozen=True, slots=True)
class QueuedDocument:
    """A document, and whether it was queued now or was there already."""

    document: records.Document
    is_new: bool


@dataclass(frozen=True, slots=True)
class ChunkPage:
    """One page of a document's chunks; `last_position` is that of the last one where more follow, else None."""

    items: list[records.Chunk]
    last_position: int | None


def create(
    caller: Caller,
    content: Content,
    collection_id: UUID,
    *,
    external_id: str | None = None,
    details: dict[str, Any] | None = None,
    key: idempotency.Key | None = None,
) -> QueuedDocument:
    """Queue a document; the same content again is the same document.

    Raises NotFound, Forbidden, QuotaExceeded, TooManyDocuments, ExternalIdTaken, IdempotencyKeyReused.
    """
    same = content.hash()
    try:
        with write("create_document", is_long=len(content.pieces) > 1, contention_key=caller.user_id) as connection:
            lock(connection, caller, collection_id)
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known:
                return QueuedDocument(_find(connection, Document.id == known), is_new=False)
            known = _find_duplicate(connection, collection_id, content, same, external_id)
            if known:
                if key:
                    idempotency.store(connection, caller.user_id, key, thing_id=known)
                return QueuedDocument(_find(connection, Document.id == known), is_new=False)
            described = described_bytes(content.title, details)
            values = {
                "queued_at": queues.choose_place(connection, collection_id, content.media_type),
                "described_bytes": described,
            }
            adjust_usage(connection, collection_id, content.size, described)
            made = uuid7()
            values |= {**_described(content), "external_id": external_id, "content_hash": same}
            values |= {"id": made, "collection_id": collection_id, "details": details or {}}
            row = connection.execute(INSERT, _columns(values)).one()
            document = records.Document(**row._mapping)
            insert_pieces(connection, made, 1, content.pieces)
            if details:
                write_facts(connection, made, details)
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=made)
            readers.record_documents(connection, {collection_id: [made]})
    except IntegrityError as error:
        return QueuedDocument(_resolve_key_conflict(caller, key, error), is_new=False)
    get_knowledge_state().queue_changed[queues.choose_queue(content)].set()
    return QueuedDocument(document, is_new=True)


def replace(
    caller: Caller,
    document_id: UUID,
    content: Content,
    *,
    details: dict[str, Any] | None = None,
    collection_id: UUID | None = None,
    external_id: str | None = None,
) -> records.Document:
    """Queue a new version of a document; until it is whole, the old one is searched, under its title and metadata.

    Collection and external id, where they are said, must be what they are. Raises NotFound, Forbidden, QuotaExceeded,
    TooManyDocuments, InvalidInput.
    """
    same = content.hash()
    with write("replace_document", is_long=True, contention_key=caller.user_id) as connection:
        old = _lock_document(connection, caller, document_id)
        _require_same_place(old, collection_id, external_id)
        unchanged = same is not None and (same, content.title) == (old.content_hash, old.wanted_title or old.title)
        if unchanged and details is None and old.status != "failed":
            return _find(connection, Document.id == document_id)
        # The version that is searched keeps its bytes until the new one takes its place.
        others = (DocumentPiece.document_id == document_id, DocumentPiece.version != old.version)
        described = described_bytes(content.title, _wanted_details(old) if details is None else details)
        place = queues.choose_place(connection, old.collection_id, content.media_type)
        grown = (content.size - delete_pieces(connection, *others), described - old.described_bytes)
        adjust_usage(connection, old.collection_id, *grown)
        version = old.wanted_version + 1
        values = {**_described(content), "content_hash": same, "wanted_version": version, **build_requeue_values(place)}
        values |= {"described_bytes": described, "is_slow": False}
        values |= {} if details is None else {"details": details}
        if old.version:  # what is searched keeps its title and metadata as well
            values["wanted_title"] = values.pop("title")
            if details is not None:
                values["wanted_details"] = values.pop("details")
        elif details is not None:
            write_facts(connection, document_id, details)
        connection.execute(sa.update(Document).where(Document.id == document_id).values(**values))
        insert_pieces(connection, document_id, version, content.pieces)
        document = _find(connection, Document.id == document_id)
        readers.record_documents(connection, {old.collection_id: [document_id]})
    get_knowledge_state().queue_changed[queues.choose_queue(content)].set()
    return document


def retry(caller: Caller, document_id: UUID) -> records.Document:
    """Queue a document that failed once more; raises NotFound, Forbidden, NotFailed, TooManyDocuments."""
    with write("retry_document", contention_key=caller.user_id) as connection:
        old = _lock_document(connection, caller, document_id)
        if old.status != "failed":
            raise NotFailed("Only a document that failed can be tried again.")
        place = queues.choose_place(connection, old.collection_id, old.media_type)
        connection.execute(sa.update(Document).where(Document.id == document_id).values(**build_requeue_values(place)))
        document = _find(connection, Document.id == document_id)
        readers.record_documents(connection, {old.collection_id: [document_id]})
    for queue in queues.QUEUES:
        get_knowledge_state().queue_changed[queue].set()
    return document


def delete(caller: Caller, document_id: UUID) -> None:
    """Delete a document and all that is searched of it; raises NotFound, Forbidden."""
    with write("delete_document", is_long=True, contention_key=caller.user_id) as connection:
        old = _lock_document(connection, caller, document_id)
        delete_documents(connection, old.collection_id, {document_id: old.chunks})
        readers.record_documents(connection, {old.collection_id: [document_id]}, are_deleted=True)


def watch() -> DocumentWatch:
    """Return this process's watch on documents."""
    return get_knowledge_state().document_watch


def get(caller: Caller, document_id: UUID) -> records.Document:
    """Return a document that the caller may read; raises NotFound."""
    with read() as connection:
        return _find(connection, Document.id == document_id, may_read(caller))


def load_documents(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[records.Document]:
    """Return those of some documents that the caller may read, in no order."""
    statement = sa.select(*FIELDS).join(Collection).where(may_read(caller), Document.id.in_(ids))
    return [records.Document(**row._mapping) for row in connection.execute(statement)]


def list_documents(
    caller: Caller,
    *,
    limit: int,
    after: keyset.Key | None = None,
    collection_id: UUID | None = None,
    status: str | None = None,
    external_id: str | None = None,
) -> keyset.Page[records.Document]:
    """Return up to `limit` documents that the caller may read, by time."""
    statement = sa.select(*FIELDS).join(Collection).where(may_read(caller))
    wanted = {Document.collection_id: collection_id, Document.status: status, Document.external_id: external_id}
    statement = statement.where(*(column == value for column, value in wanted.items() if value is not None))
    order = (Document.created_at, Document.id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, records.Document, order=order, limit=limit, after=after)


def list_chunks(caller: Caller, document_id: UUID, *, limit: int, after: int = -1) -> ChunkPage:
    """Return up to `limit` passages of a document as they are searched, those behind position `after`."""
    get(caller, document_id)
    statement = sa.select(*CHUNK_FIELDS).join(Collection, Collection.id == Chunk.collection_id)
    statement = statement.where(Chunk.document_id == document_id, Chunk.position > after, may_read(caller))
    with read() as connection:
        found = connection.execute(statement.order_by(Chunk.position).limit(limit + 1)).all()
    items = [records.Chunk(**row._mapping) for row in found[:limit]]
    return ChunkPage(items, items[-1].position if len(found) > limit else None)


def build_requeue_values(place: datetime) -> dict[str, Any]:
    """Return the values of a document that waits anew, at a place in its queue."""
    waiting = {"status": "queued", "progress": 0.0, "error": None, "reason": None, "attempts": 0}
    return {**waiting, "queued_at": place, "updated_at": now(), "lease_token": None, "lease_expires_at": None}


def _described(content: Content) -> dict[str, Any]:
    return {"title": content.title, "media_type": content.media_type, "url": content.url, "size": content.size}


def _wanted_details(old: sa.Row[Any]) -> dict[str, Any]:
    """Return the metadata that a document has, or will have once its newest version is whole."""
    found: dict[str, Any] = old.metadata if old.wanted_metadata is None else old.wanted_metadata
    return found


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return values by the names of their columns: two are not those of their attributes."""
    return {getattr(Document, name).expression.key: value for name, value in values.items()}


def _require_same_place(old: sa.Row[Any], collection_id: UUID | None, external_id: str | None) -> None:
    for name, value in (("collection_id", collection_id), ("external_id", external_id)):
        if value is not None and value != getattr(old, name):
            raise InvalidInput({name: ["A document keeps the one that it has; leave it out, or send a new document."]})


def _find_duplicate(
    connection: sa.Connection, collection_id: UUID, content: Content, same: bytes | None, external_id: str | None
) -> UUID | None:
    """Return the document of this content or external id in a locked collection; raises ExternalIdTaken."""
    if external_id is not None:
        named = connection.execute(NAMED, {"collection_id": collection_id, "name": external_id}).one_or_none()
        if named is not None and (named.url != content.url if content.url else named.content_hash != same):
            raise ExternalIdTaken("Another document of this collection has this external_id; PUT replaces it.")
        return None if named is None else named.id
    if same is None:
        return None
    found: UUID | None = connection.scalar(ALIKE, {"collection_id": collection_id, "hash": same})
    return found


def _resolve_key_conflict(caller: Caller, key: idempotency.Key | None, error: IntegrityError) -> records.Document:
    """Return the document of a concurrent request with the same key; else the external id is taken."""
    if key:
        with read() as connection:
            known = idempotency.find(connection, caller.user_id, key, writes=False)
            if known:
                return _find(connection, Document.id == known)
    authentication.require_account(caller)
    raise ExternalIdTaken("Another document of this collection has this external_id.") from error


def _lock_document(connection: sa.Connection, caller: Caller, document_id: UUID) -> sa.Row[Any]:
    """Return a document that the caller may write, its collection locked before it; raises NotFound, Forbidden."""
    readable = sa.select(Document.collection_id).join(Collection).where(Document.id == document_id, may_read(caller))
    collection_id = connection.scalar(readable)
    if collection_id is None:
        raise NotFound("There is no such document.")
    lock(connection, caller, collection_id)
    statement = sa.select(Document.__table__).where(Document.id == document_id, Document.collection_id == collection_id)
    row = connection.execute(statement.with_for_update()).one_or_none()
    if row is None:  # deleted in this moment
        raise NotFound("There is no such document.")
    return row


def _find(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> records.Document:
    statement = sa.select(*FIELDS).join(Collection, Collection.id == Document.collection_id).where(*conditions)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such document.")
    return records.Document(**row._mapping)
