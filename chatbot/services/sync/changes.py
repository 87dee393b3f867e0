"""The record of changes: written in the transaction of each change of a user's data.

A thing has one row, that of its last change; positions rise in the order in which a user's transactions commit, since
each holds the user's counter until then. The counter is the last row that a transaction locks; those of several users
are taken in the order of their ids.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.types import now
from chatbot.database.upserts import insert_or_update
from chatbot.models import SyncChange, SyncCounter

KEPT_FOR = timedelta(days=90)  # a deletion; a device that was away for longer begins anew

Kind = Literal["collection", "conversation", "document", "membership", "session", "turn"]


@dataclass(frozen=True, slots=True)
class Change:
    """A thing of a user that was made or changed; or is deleted, which is also one that they may not read any more."""

    kind: Kind
    object_id: UUID
    is_deleted: bool = False


def record(connection: sa.Connection, user_id: UUID, changes: Sequence[Change]) -> None:
    """Record changes of a user's data, in the transaction that makes them and at its end."""
    if not changes:
        return
    dialect = connection.dialect.name
    count = _count(dialect).run(connection, {"user_id": user_id, "position": len(changes)})
    first = count.scalar_one() - len(changes) + 1
    moment = now()
    rows = [
        {
            "user_id": user_id,
            "type": change.kind,
            "object_id": change.object_id,
            "position": position,
            "deleted": change.is_deleted,
            "changed_at": moment,
        }
        for position, change in enumerate(changes, first)
    ]
    for row in rows:
        _keep(dialect).run(connection, row)


def record_all(connection: sa.Connection, changes: Mapping[UUID, Sequence[Change]]) -> None:
    """Record changes of several users' data; in a transaction that records nothing else."""
    for user_id in sorted(changes):
        record(connection, user_id, changes[user_id])


def changed(kind: Kind, ids: Iterable[UUID]) -> list[Change]:
    """Return the changes of things of one kind."""
    return [Change(kind, one) for one in ids]


def deleted(kind: Kind, ids: Iterable[UUID]) -> list[Change]:
    """Return the deletions of things of one kind."""
    return [Change(kind, one, is_deleted=True) for one in ids]


@functools.cache
def _count(dialect: str) -> Prepared:
    """Return the statement that moves a user's counter on by `position` and returns it."""
    statement = insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))
    return Prepared(statement.returning(SyncCounter.position))


@functools.cache
def _keep(dialect: str) -> Prepared:
    key = ("user_id", "type", "object_id")
    changed = ("position", "deleted", "changed_at")
    return Prepared(insert_or_update(dialect, SyncChange, key=key, replaced=changed))
