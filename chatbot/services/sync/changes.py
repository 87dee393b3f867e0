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
COLUMNS = ("user_id", "type", "object_id", "position", "deleted", "changed_at")
MOMENT = sa.bindparam("moment", type_=SyncChange.changed_at.type)
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


def record_new_turn(connection: sa.Connection, user_id: UUID, conversation_id: UUID, turn_id: UUID) -> None:
    """Record a turn that was opened, and its conversation: as `record`, in two statements."""
    dialect = connection.dialect.name
    _advance(dialect).execute(connection, {"user_id": user_id, "position": 2})
    values = {"user_id": user_id, "conversation_id": conversation_id, "turn_id": turn_id, "moment": now()}
    _store_new_turn(dialect).execute(connection, values)


def record_turn(connection: sa.Connection, user_id: UUID, turn_id: UUID) -> None:
    """Record a change of a turn, which the feed shows with its conversation: as `record`, in two statements."""
    dialect = connection.dialect.name
    _advance(dialect).execute(connection, {"user_id": user_id, "position": 1})
    _store_turn(dialect).execute(connection, {"user_id": user_id, "turn_id": turn_id, "moment": now()})


def record_turns(connection: sa.Connection, user_id: UUID, conversation_id: UUID) -> None:
    """Record all turns of a new conversation, in one statement, of which none was recorded before."""
    of_this = ChatMessage.conversation_id == conversation_id
    number = connection.scalar(sa.select(sa.func.count()).where(of_this)) or 0
    if not number:
        return
    counter = _advance_and_return(connection.dialect.name).run(connection, {"user_id": user_id, "position": number})
    before = counter.scalar_one() - number
    position = before + sa.func.row_number().over(order_by=ChatMessage.sequence)
    columns = (sa.literal(user_id, sa.Uuid()), sa.literal("turn"), ChatMessage.id, position, sa.false())
    rows = sa.select(*columns, sa.literal(now(), SyncChange.changed_at.type)).where(of_this)
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


def build_new_turn(user_id: Id, conversation_id: Id, turn_id: Id) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that records a new conversation and its first turn.

    With `add_cte` it goes into the statement, which needs no transaction then. No former record is looked for.
    """
    counter = _advance_by(sa.select(user_id, sa.literal_column("2")))
    rows = _select_new_turn(user_id, conversation_id, turn_id, counter.c.position, sa.func.now())
    return sa.insert(SyncChange).from_select(COLUMNS, rows).cte("recorded")


def build_turn(changed: sa.CTE) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that records the turn which another part has changed, if any.

    That one returns `id`, `user_id` and `listed`; a turn that no list shows is not recorded.
    """
    counter = _advance_by(sa.select(changed.c.user_id, sa.literal_column("1")).where(changed.c.listed))
    rows = _select_change("turn", changed.c.user_id, changed.c.id, counter.c.position, sa.func.now())
    return _build_upsert("postgresql").from_select(COLUMNS, rows).cte("recorded")


def _advance_by(numbers: sa.Select[*tuple[Any, ...]]) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that moves users' counters on by their numbers of changes."""
    return (
        _build_counter("postgresql")
        .from_select(["user_id", "position"], numbers)
        .returning(SyncCounter.position)
        .cte("counter")
    )


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
def _store_new_turn(dialect: str) -> Prepared:
    """Return the statement that records a conversation and its turn by the last two numbers of the counter."""
    user_id, conversation_id, turn_id = (
        sa.bindparam(name, type_=sa.Uuid()) for name in ("user_id", "conversation_id", "turn_id")
    )
    last = SyncCounter.__table__.c.position
    rows = _select_new_turn(user_id, conversation_id, turn_id, last, MOMENT, SyncCounter.user_id == user_id)
    return Prepared(_build_upsert(dialect).from_select(COLUMNS, rows))


@functools.cache
def _store_turn(dialect: str) -> Prepared:
    """Return the statement that records a turn by the last number of the counter."""
    user_id, turn_id = (sa.bindparam(name, type_=sa.Uuid()) for name in ("user_id", "turn_id"))
    row = _select_change("turn", user_id, turn_id, SyncCounter.__table__.c.position, MOMENT)
    return Prepared(_build_upsert(dialect).from_select(COLUMNS, row.where(SyncCounter.user_id == user_id)))


def _select_new_turn(
    user_id: Id,
    conversation_id: Id,
    turn_id: Id,
    last: sa.ColumnElement[int],
    moment: sa.ColumnElement[Any],
    *conditions: sa.ColumnElement[bool],
) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """Return the query of the rows of a conversation and of its turn, which has the last number."""
    conversation = _select_change("conversation", user_id, conversation_id, last - 1, moment)
    turn = _select_change("turn", user_id, turn_id, last, moment)
    return sa.union_all(conversation.where(*conditions), turn.where(*conditions))


def _select_change(
    kind: Kind, user_id: Id, object_id: Id, position: sa.ColumnElement[int], moment: sa.ColumnElement[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the row of a change."""
    return sa.select(user_id, sa.literal_column(f"'{kind}'"), object_id, position, sa.false(), moment)


def _build_counter(dialect: str) -> sa.Insert:
    return insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))


def _build_upsert(dialect: str) -> sa.Insert:
    return insert_or_update(dialect, SyncChange, key=KEY, replaced=("position", "deleted", "changed_at"))
