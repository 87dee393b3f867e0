"""The watch that wakes the readers of sync when their users' data changed."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, current_app

from chatbot.database.transactions import read
from chatbot.models import SyncCounter
from chatbot.services.watch import Watch

EXTENSION = "chatbot.sync"
POLL_INTERVAL_SECONDS = 0.1  # between two queries, while anything is followed

ChangeWatch = Watch[int]  # the state of a user is the number of their last change


def init_app(app: Flask) -> None:
    """Give the application its watch."""
    app.extensions[EXTENSION] = Watch(app, "change watch", _find_positions, poll_seconds=POLL_INTERVAL_SECONDS)


def get_change_watch() -> ChangeWatch:
    """Return the current application's watch."""
    watch: ChangeWatch = current_app.extensions[EXTENSION]
    return watch


def _find_positions(ids: Sequence[UUID]) -> dict[UUID, int]:
    among = SyncCounter.user_id.in_(ids)
    with read() as connection:
        rows = connection.execute(sa.select(SyncCounter.user_id, SyncCounter.position).where(among))
        return dict.fromkeys(ids, 0) | {row.user_id: row.position for row in rows}
