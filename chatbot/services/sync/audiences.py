"""The record of changes of things that several users share, such as a room's messages."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.database.types import now
from chatbot.database.upserts import insert_or_update
from chatbot.models import SyncChange, SyncCounter

from .changes import COLUMNS, KEY, Change


def record(connection: sa.Connection, users: sa.Select[Any], changes: Sequence[Change]) -> None:
    """Record changes for the users that a query of ids finds, as `changes.record` does for one user.

    It takes a statement for all the counters and one for each change, however many users there are.
    """
    dialect = connection.dialect.name
    among = users.subquery()
    # In the order of the ids, in which all transactions lock counters. SQLite needs a WHERE before ON CONFLICT.
    counts = sa.select(among.c.user_id, sa.literal(len(changes))).where(sa.true()).order_by(among.c.user_id)
    count = insert_or_update(dialect, SyncCounter, key=("user_id",), added=("position",))
    connection.execute(count.from_select(["user_id", "position"], counts))
    moment = sa.literal(now(), SyncChange.changed_at.type)
    for left, change in enumerate(reversed(changes)):
        columns = (
            SyncCounter.user_id,
            sa.literal(change.kind),
            sa.literal(change.object_id, sa.Uuid()),
            SyncCounter.position - left,
            sa.literal(change.is_deleted),
            moment,
        )
        rows = sa.select(*columns).where(SyncCounter.user_id.in_(users))
        keep = insert_or_update(dialect, SyncChange, key=KEY, replaced=("position", "deleted", "changed_at"))
        connection.execute(keep.from_select(COLUMNS, rows))
