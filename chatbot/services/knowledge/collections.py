"""Collections of documents and their visibility."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import DefaultCollection, Forbidden, NotFound, TooManyCollections
from chatbot.models import Chunk, Collection, Document, User
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller

from . import content, readers, records
from .permissions import may_manage, may_read

DEFAULT_NAME = "My documents"
OPERATORS_NAME = "Knowledge base"
# Documents that a deletion takes in one transaction, by number, or by bytes with what a passage and its vector take.
MAX_DOCUMENTS = 200
MAX_DELETED_BYTES = 4 << 20
BYTES_OF_CHUNK = 2_000
PAUSE_SECONDS = 0.01  # seconds between two of them, in which others write
FIELDS = tuple(Collection.__table__.c[field.name] for field in dataclasses.fields(records.Collection))


def list_collections(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[records.Collection]:
    """Return up to `limit` collections that the caller may read, by time."""
    ensure_default(caller)
    statement = sa.select(*FIELDS).where(may_read(caller))
    order = (Collection.created_at, Collection.id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, records.Collection, order=order, limit=limit, after=after)


def get(caller: Caller, collection_id: UUID) -> records.Collection:
    """Return a collection that the caller may read; raises NotFound."""
    with read() as connection:
        return _find(connection, may_read(caller), collection_id)


def load_collections(connection: sa.Connection, caller: Caller, ids: Sequence[UUID]) -> list[records.Collection]:
    """Return those of some collections that the caller may read, in no order."""
    statement = sa.select(*FIELDS).where(may_read(caller), Collection.id.in_(ids))
    return [records.Collection(**row._mapping) for row in connection.execute(statement)]


def create(caller: Caller, values: records.CollectionValues, key: idempotency.Key | None = None) -> records.Collection:
    """Make a collection of the caller's; raises IdempotencyKeyReused, TooManyCollections, QuotaExceeded."""
    try:
        with write("create_collection") as connection:
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known:
                return _find(connection, may_read(caller), known)
            _require_room(connection, caller)
            made = uuid7()
            connection.execute(sa.insert(Collection).values(id=made, owner_id=caller.user_id, **values))
            content.require_quota(connection, caller.user_id)
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=made)
            readers.record_collection(connection, made)
            return _find(connection, Collection.owner_id == caller.user_id, made)
    except IntegrityError:
        # A request with the same key came in the same moment.
        if idempotency.find_committed(caller.user_id, key) is None:
            raise
        return create(caller, values, key)


def change(caller: Caller, collection_id: UUID, values: records.CollectionValues) -> records.Collection:
    """Change a collection; raises NotFound, Forbidden for one that the caller may only use, QuotaExceeded."""
    with write("change_collection", contention_key=caller.user_id) as connection:
        require_managed(connection, caller, collection_id)
        statement = sa.update(Collection).where(Collection.id == collection_id, may_manage(caller))
        owner = connection.scalar(statement.values(**values, updated_at=now()).returning(Collection.owner_id))
        if values.get("description") and owner is not None:
            content.require_quota(connection, owner)
        readers.record_collection(connection, collection_id)
        return _find(connection, may_manage(caller), collection_id)


def delete(caller: Caller, collection_id: UUID) -> None:
    """Delete a collection and all that is in it; raises NotFound, Forbidden, DefaultCollection.

    Its documents go some at a time, each time committed, and it with the last ones: one transaction for all of a large
    one would keep all messages out of SQLite for seconds. Deleting it again continues a deletion that broke off.
    """
    while _delete_some(caller, collection_id):
        time.sleep(PAUSE_SECONDS)


def _delete_some(caller: Caller, collection_id: UUID) -> bool:
    """Delete some documents of a collection, and it with the last ones; returns whether there are more."""
    with write("delete_collection", is_long=True, contention_key=caller.user_id) as connection:
        require_managed(connection, caller, collection_id)
        governed = (Collection.id == collection_id, may_manage(caller))
        if connection.scalar(sa.select(Collection.is_default).where(*governed)):
            raise DefaultCollection("The default collection cannot be deleted; delete its documents.")
        connection.execute(sa.select(Collection.id).where(*governed).with_for_update()).all()
        columns = (Document.id, Document.size, Document.chunks)
        inside = sa.select(*columns).where(Document.collection_id == collection_id).order_by(Document.id)
        # In the order in which a turn that cites them locks them, before the counters of those who follow.
        found = connection.execute(inside.limit(MAX_DOCUMENTS + 1).with_for_update()).all()
        some = _take_batch(found)
        if len(some) < len(found):
            content.delete_documents(connection, collection_id, some)
            readers.record_documents(connection, {collection_id: some}, are_deleted=True)
            return True
        content.delete_chunks(connection, Chunk.collection_id == collection_id)
        readers.record_collection_deletion(connection, collection_id, some)
        connection.execute(sa.delete(Collection).where(*governed))
        return False


def _take_batch(found: Sequence[Any]) -> dict[UUID, int]:
    """Return the first documents that may go in one transaction, at least one, and how many chunks each has."""
    some: dict[UUID, int] = {}
    left = MAX_DELETED_BYTES
    for document_id, size, chunks in found[:MAX_DOCUMENTS]:
        left -= size + chunks * BYTES_OF_CHUNK
        if some and left < 0:
            break
        some[document_id] = chunks
    return some


def ensure_default(caller: Caller) -> UUID:
    """Return the caller's default collection, creating it on first use."""
    found = _find_default(caller)
    if found:
        return found
    try:
        with write("create_default_collection") as connection:
            made = uuid7()
            values = {"owner_id": caller.user_id, "name": DEFAULT_NAME, "is_default": True}
            connection.execute(sa.insert(Collection).values(id=made, **values))
            readers.record_collection(connection, made)
            return made
    except IntegrityError:  # another request made it
        found = _find_default(caller)
        if found is None:
            raise
        return found


def _find_default(caller: Caller) -> UUID | None:
    statement = sa.select(Collection.id).where(Collection.owner_id == caller.user_id, Collection.is_default)
    with read() as connection:
        found: UUID | None = connection.scalar(statement)
    return found


def ensure_operator_collection(name: str = OPERATORS_NAME) -> UUID:
    """Return the operator's collection of this name, shared with all users; creates it on first use."""
    with write("operators_collection") as connection:
        statement = sa.select(Collection.id).where(Collection.owner_id.is_(None), Collection.name == name)
        found: UUID | None = connection.scalar(statement.limit(1))
        if found is None:
            found = uuid7()
            connection.execute(sa.insert(Collection).values(id=found, name=name, visibility="shared"))
        return found


def find_operator_collection(name: str) -> UUID:
    """Return the operator's collection of this name; raises NotFound."""
    with read() as connection:
        statement = sa.select(Collection.id).where(Collection.owner_id.is_(None), Collection.name == name)
        found = connection.scalar(statement.limit(1))
    if found is None:
        raise NotFound(f"The operator has no collection {name!r}.")
    return found


def _require_room(connection: sa.Connection, caller: Caller) -> None:
    """Raise TooManyCollections where the caller has as many as one may have; requests at once wait for one another."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return
    bound = current_app.config["COLLECTIONS_PER_USER"]
    connection.execute(sa.select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True)).all()
    count = sa.select(sa.func.count()).where(Collection.owner_id == caller.user_id)
    if (connection.scalar(count) or 0) >= bound:
        raise TooManyCollections(f"You may have {bound} collections.")


def require_managed(connection: sa.Connection, caller: Caller, collection_id: UUID) -> None:
    """Raise Forbidden for a collection that the caller may only use, NotFound for one that they may not even read."""
    _find(connection, may_read(caller), collection_id)
    if connection.scalar(sa.select(Collection.id).where(Collection.id == collection_id, may_manage(caller))) is None:
        raise Forbidden("Only the owner may do that.")


def _find(connection: sa.Connection, allowed: sa.ColumnElement[bool], collection_id: UUID) -> records.Collection:
    row = connection.execute(sa.select(*FIELDS).where(Collection.id == collection_id, allowed)).one_or_none()
    if row is None:
        raise NotFound("There is no such collection.")
    return records.Collection(**row._mapping)
