"""The record of changes of things that several users share, such as a room's messages."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.database.types import now
from chatbot.database.upserts import insert_or_update
from chatbot.models import SyncChange, SyncCounter

from .changes import COLUMNS, KEY, Change


def record(
    connection: sa.Connection, users: sa.Select[Any], values: Mapping[str, Any], changes: Sequence[Change]
) -> None:
    """Record changes for the users that a query of ids finds, as `changes.record` does for one user.

    It takes a statement for all the counters and one for each change, however many users there are. Both are compiled
    once for each query, which is a constant with parameters: `values` are theirs.
    """
    dialect = connection.dialect.name
    _count(dialect, users).execute(connection, {**values, "added": len(changes)})
    moment = now()
    for left, change in enumerate(reversed(changes)):
        row = {"kind": change.kind, "object_id": change.object_id, "is_deleted": change.is_deleted}
        _store(dialect, users).execute(connection, {**values, **row, "left": left, "moment": moment})


@cache
def _count(dialect: str, users: sa.Select[Any]) -> Prepared:
    """Return the statement that moves the counters of users on by `added`."""
    among = users.subquery()
    # In the order of the ids, in which all transactions lock counters. SQLite needs a WHERE before ON CONFLICT.
    counts = sa.select(among.c.user_id, sa.bindparam("added", type_=sa.Integer())).where(sa.true())
    count = insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))
    return Prepared(count.from_select(["user_id", "position"], counts.order_by(among.c.user_id)))


@cache
def _store(dialect: str, users: sa.Select[Any]) -> Prepared:
    """Return the statement that records a change for users, `left` before the last number of their counters."""
    columns = (
        SyncCounter.user_id,
        sa.bindparam("kind", type_=sa.String()),
        sa.bindparam("object_id", type_=sa.Uuid()),
        SyncCounter.position - sa.bindparam("left", type_=sa.Integer()),
        sa.bindparam("is_deleted", type_=sa.Boolean()),
        sa.bindparam("moment", type_=SyncChange.changed_at.type),
    )
    rows = sa.select(*columns).where(SyncCounter.user_id.in_(users))
    keep = insert_or_update(dialect, SyncChange, key=KEY, replaced=("position", "deleted", "changed_at"))
    return Prepared(keep.from_select(COLUMNS, rows))
