"""The record of changes: written in the transaction of each change of a user's data.

A thing has one row, that of its last change; positions rise in the order in which a user's transactions commit, since
each holds the user's counter until then. The counter is the last row that a transaction locks; those of several users
are taken in the order of their ids.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.types import now
from chatbot.database.upserts import insert_or_update
from chatbot.models import ChatMessage, SyncChange, SyncCounter

KEY = ("user_id", "type", "object_id")
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


def record_turns(connection: sa.Connection, user_id: UUID, conversation_id: UUID) -> None:
    """Record all turns of a new conversation, in one statement, of which none was recorded before."""
    of_this = ChatMessage.conversation_id == conversation_id
    number = connection.scalar(sa.select(sa.func.count()).where(of_this)) or 0
    if not number:
        return
    count = _count(connection.dialect.name).run(connection, {"user_id": user_id, "position": number})
    before = count.scalar_one() - number
    position = before + sa.func.row_number().over(order_by=ChatMessage.sequence)
    columns = (sa.literal(user_id, sa.Uuid()), sa.literal("turn"), ChatMessage.id, position, sa.false())
    rows = sa.select(*columns, sa.literal(now(), SyncChange.changed_at.type)).where(of_this)
    names = ["user_id", "type", "object_id", "position", "deleted", "changed_at"]
    connection.execute(sa.insert(SyncChange).from_select(names, rows))


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
    changed = ("position", "deleted", "changed_at")
    return Prepared(insert_or_update(dialect, SyncChange, key=KEY, replaced=changed))


def select_thing(user_id: Any, kind: Kind, object_id: Any, number: int) -> sa.Select[Any]:
    """Return the query of a thing that a statement changes, for `build_cte`; things are numbered from 1."""
    columns = (user_id.label("user_id"), sa.literal(kind).label("type"), object_id.label("object_id"))
    return sa.select(*columns, sa.literal(number).label("number"))


def build_cte(*things: sa.Select[Any]) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that records the things of one user which it changes.

    As `record` does; with `add_cte` it goes into the statement, which needs no transaction then.
    """
    changed = sa.union_all(*things).cte("changed")
    counts = sa.select(changed.c.user_id, sa.func.count()).group_by(changed.c.user_id)
    counted = (
        insert_or_update("postgresql", SyncCounter, key=("user_id",), added=("position",))
        .from_select(["user_id", "position"], counts)
        .returning(SyncCounter.user_id, SyncCounter.position)
        .cte("counted")
    )
    # The first thing has the lowest of the new numbers.
    newest = sa.select(sa.func.count()).select_from(changed).scalar_subquery()
    position = counted.c.position - newest + changed.c.number
    kept = sa.select(changed.c.user_id, changed.c.type, changed.c.object_id, position, sa.false(), sa.func.now()).where(
        counted.c.user_id == changed.c.user_id
    )
    columns = ("position", "deleted", "changed_at")
    record = insert_or_update("postgresql", SyncChange, key=KEY, replaced=columns)
    return record.from_select(["user_id", "type", "object_id", *columns], kept).cte("recorded")
