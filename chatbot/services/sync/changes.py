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
KEPT_FOR = timedelta(days=90)  # a deletion; a device that was away for longer begins anew

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


def record_turn(connection: sa.Connection, user_id: UUID, conversation_id: UUID, turn_id: UUID) -> None:
    """Record a change of a turn and of its conversation, as each chat does twice: as `record`, in two statements."""
    dialect = connection.dialect.name
    _add_two(dialect).execute(connection, {"user_id": user_id, "position": 2})
    values = {"user_id": user_id, "conversation_id": conversation_id, "turn_id": turn_id, "moment": now()}
    _keep_turn(dialect).execute(connection, values)


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


@functools.cache
def _count(dialect: str) -> Prepared:
    """Return the statement that moves a user's counter on by `position` and returns it."""
    statement = insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))
    return Prepared(statement.returning(SyncCounter.position))


@functools.cache
def _keep(dialect: str) -> Prepared:
    return Prepared(_keep_all(dialect))


@functools.cache
def _add_two(dialect: str) -> Prepared:
    return Prepared(insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",)))


@functools.cache
def _keep_turn(dialect: str) -> Prepared:
    """Return the statement that records a conversation and its turn by the last two numbers of the counter."""
    user_id, conversation_id, turn_id = (
        sa.bindparam(name, type_=sa.Uuid()) for name in ("user_id", "conversation_id", "turn_id")
    )
    moment = sa.bindparam("moment", type_=SyncChange.changed_at.type)
    last: Any = SyncCounter.__table__.c.position
    rows = _select_both(user_id, conversation_id, turn_id, last, moment, SyncCounter.user_id == user_id)
    return Prepared(_keep_all(dialect).from_select(COLUMNS, rows))


def build_cte(user_id: Any, conversation_id: Any, turn_id: Any, *conditions: Any, are_new: bool = False) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that records the turn and the conversation which it changes.

    As `record_turn` does; with `add_cte` it goes into the statement, which needs no transaction then. The ids may be
    columns of another part, where the conditions choose its row. Of new things no former record is looked for.
    """
    counts = sa.select(user_id, sa.literal_column("2")).where(*conditions)
    counted = (
        insert_or_update("postgresql", SyncCounter, key=("user_id",), added=("position",))
        .from_select(["user_id", "position"], counts)
        .returning(SyncCounter.position)
        .cte("counted")
    )
    rows = _select_both(user_id, conversation_id, turn_id, counted.c.position, sa.func.now())
    insert = sa.insert(SyncChange) if are_new else _keep_all("postgresql")
    return insert.from_select(COLUMNS, rows).cte("recorded")


def _select_both(user_id: Any, conversation_id: Any, turn_id: Any, last: Any, moment: Any, *conditions: Any) -> Any:
    """Return the query of the rows of a conversation and of its turn, which has the last number."""

    def select(kind: Kind, object_id: Any, position: Any) -> sa.Select[Any]:
        values: Any = (user_id, sa.literal_column(f"'{kind}'"), object_id, position, sa.false(), moment)
        return sa.select(*values).select_from(last.table).where(*conditions)

    return sa.union_all(select("conversation", conversation_id, last - 1), select("turn", turn_id, last))


def _keep_all(dialect: str) -> sa.Insert:
    return insert_or_update(dialect, SyncChange, key=KEY, replaced=("position", "deleted", "changed_at"))
