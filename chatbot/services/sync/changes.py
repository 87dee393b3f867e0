"""The record of changes: written in the transaction of each change of a user's data.

A thing has one row, that of its last change; positions rise in the order in which a user's transactions commit, since
each holds the user's counter until then. The counter is the last row that a transaction locks; those of several users
are taken in the order of their ids. A conversation has changed with each of its turns: their records are its own too.
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
COLUMNS = ("user_id", "type", "object_id", "position", "deleted", "changed_at")
KEPT_FOR = timedelta(days=90)  # a deletion; a device that was away for longer begins anew

Id = sa.ColumnElement[UUID]
Kind = Literal[
    "collection",
    "conversation",
    "document",
    "membership",
    "read_mark",
    "room",
    "room_message",
    "turn",
]


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
    counter = _advance_and_return(dialect).run(connection, {"user_id": user_id, "position": len(changes)})
    first = counter.scalar_one() - len(changes) + 1
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
        _store(dialect).run(connection, row)


def record_turn(connection: sa.Connection, user_id: UUID, turn_id: UUID) -> None:
    """Record a change of a turn and so of its conversation: as `record`, in two statements."""
    dialect = connection.dialect.name
    _advance(dialect).execute(connection, {"user_id": user_id, "position": 1})
    _store_turn(dialect).execute(connection, {"user_id": user_id, "turn_id": turn_id, "moment": now()})


def record_turns(connection: sa.Connection, user_id: UUID, *conditions: sa.ColumnElement[bool]) -> None:
    """Record all turns for which conditions hold, in one statement, of which none was recorded before."""
    number = connection.scalar(sa.select(sa.func.count()).where(*conditions)) or 0
    if not number:
        return
    counter = _advance_and_return(connection.dialect.name).run(connection, {"user_id": user_id, "position": number})
    before = counter.scalar_one() - number
    position = before + sa.func.row_number().over(order_by=ChatMessage.sequence)
    columns = (sa.literal(user_id, sa.Uuid()), sa.literal("turn"), ChatMessage.id, position, sa.false())
    rows = sa.select(*columns, sa.literal(now(), SyncChange.changed_at.type)).where(*conditions)
    connection.execute(sa.insert(SyncChange).from_select(COLUMNS, rows))


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


def build_turn(user_id: Id, turn_id: Id, *conditions: sa.ColumnElement[bool], is_new: bool = False) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that records the turn which it changes, as `record_turn` does.

    With `add_cte` it goes into the statement, which needs no transaction then. The ids may be columns of another part,
    where the conditions choose its row. Of a new turn no former record is looked for.
    """
    numbers: sa.Select[*tuple[Any, ...]] = sa.select(user_id, sa.literal_column("1")).where(*conditions)
    counter = _build_counter("postgresql").from_select(["user_id", "position"], numbers)
    position = counter.returning(SyncCounter.position).cte("counter").c.position
    insert = sa.insert(SyncChange) if is_new else _build_upsert("postgresql")
    return insert.from_select(COLUMNS, _select_turn(user_id, turn_id, position, sa.func.now())).cte("recorded")


@functools.cache
def _advance(dialect: str) -> Prepared:
    """Return the statement that moves a user's counter on by `position`."""
    return Prepared(_build_counter(dialect))


@functools.cache
def _advance_and_return(dialect: str) -> Prepared:
    return Prepared(_build_counter(dialect).returning(SyncCounter.position))


@functools.cache
def _store(dialect: str) -> Prepared:
    return Prepared(_build_upsert(dialect))


@functools.cache
def _store_turn(dialect: str) -> Prepared:
    """Return the statement that records a turn by the last number of the counter."""
    user_id, turn_id = (sa.bindparam(name, type_=sa.Uuid()) for name in ("user_id", "turn_id"))
    moment = sa.bindparam("moment", type_=SyncChange.changed_at.type)
    row = _select_turn(user_id, turn_id, SyncCounter.__table__.c.position, moment)
    return Prepared(_build_upsert(dialect).from_select(COLUMNS, row.where(SyncCounter.user_id == user_id)))


def _select_turn(
    user_id: Id, turn_id: Id, position: sa.ColumnElement[int], moment: sa.ColumnElement[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the row of a turn's change."""
    return sa.select(user_id, sa.literal_column("'turn'"), turn_id, position, sa.false(), moment)


def _build_counter(dialect: str) -> sa.Insert:
    return insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))


def _build_upsert(dialect: str) -> sa.Insert:
    return insert_or_update(dialect, SyncChange, key=KEY, replaced=("position", "deleted", "changed_at"))
