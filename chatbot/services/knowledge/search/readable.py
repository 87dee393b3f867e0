"""The collections and passages that a search may read for its caller; the statements are made once for each kind."""

import functools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.errors import NotFound
from chatbot.models import Chunk, Collection, Document
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.permissions import caller_placeholder, may_all_read, may_read, searched_by_default

from .changes import Searched

COLUMNS = (Collection.id, Collection.last_change, Collection.chunks)


def find_searched_collections(
    caller: Caller, collection_ids: Sequence[UUID] | None = None, readers: sa.Select[Any] | None = None
) -> list[Searched]:
    """Return the collections to search: those named, or the caller's and the operator's, where there is anything.

    With `readers`, those of them that all of these may read. Raises NotFound when one that is named is absent or not
    readable by the caller.
    """
    values = _bind(caller)
    statement = _default_collections(caller.role, is_granted=caller.grant is not None)
    if collection_ids is not None:
        statement = _named_collections(caller.role, is_granted=caller.grant is not None)
        values["named"] = list(collection_ids)
    with read() as connection:
        found = [Searched(*row) for row in connection.execute(statement, values)]
        if collection_ids is not None and len(found) != len(set(collection_ids)):
            raise NotFound("There is no such collection.")
        if readers is not None:
            found = [Searched(*row) for row in connection.execute(statement.where(may_all_read(readers)), values)]
    return [one for one in found if one.chunks]


def has_searchable_collections(role: str) -> sa.Exists:
    """Return the condition that there is anything to search, when no collection is named, for `:caller_id`."""
    return _default_collections(role, is_granted=False).exists()


def fetch_hits(
    caller: Caller, ids: Sequence[int], conditions: Sequence[sa.ColumnElement[bool]]
) -> dict[int, sa.Row[Any]]:
    """Return the passages that are alive and that the caller may read, by id, with their documents."""
    statement = _hits(caller.role, is_granted=caller.grant is not None)
    if conditions:
        statement = statement.where(*conditions)
    with read() as connection:
        return {row.id: row for row in connection.execute(statement, _bind(caller) | {"ids": list(ids)}).all()}


def _bind(caller: Caller) -> dict[str, Any]:
    values: dict[str, Any] = {"caller_id": caller.user_id}
    if caller.grant is not None:
        values |= {"granted_by": caller.grant.granted_by, "granted_ids": list(caller.grant.collection_ids)}
    return values


@functools.cache
def _default_collections(role: str, *, is_granted: bool) -> sa.Select[UUID, int, int]:
    """Return the collections that are searched when none is named; made once, it costs more than to run it."""
    caller = caller_placeholder(role, is_granted=is_granted)
    return sa.select(*COLUMNS).where(searched_by_default(caller), Collection.chunks > 0)


@functools.cache
def _named_collections(role: str, *, is_granted: bool) -> sa.Select[UUID, int, int]:
    """Return those of the collections `:named` that the caller may read."""
    among = Collection.id.in_(sa.bindparam("named", expanding=True))
    return sa.select(*COLUMNS).where(may_read(caller_placeholder(role, is_granted=is_granted)), among)


@functools.cache
def _hits(role: str, *, is_granted: bool) -> sa.Select[*tuple[Any, ...]]:
    """Return the passages `:ids` that are alive and that the caller may read, with their documents."""
    readable = may_read(caller_placeholder(role, is_granted=is_granted))
    return (
        sa.select(Chunk.__table__, Document.title, Document.version.label("live"))
        .join(Document, sa.and_(Document.id == Chunk.document_id, Document.version == Chunk.version))
        .join(Collection, Collection.id == Document.collection_id)
        .where(Chunk.id.in_(sa.bindparam("ids", expanding=True)), readable)
    )
