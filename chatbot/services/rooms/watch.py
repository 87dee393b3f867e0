"""The watch that wakes the readers of rooms when something changed in them."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, current_app

from chatbot.database.transactions import read
from chatbot.models import Room
from chatbot.services.watch import Watch

EXTENSION = "chatbot.rooms"
POLL_INTERVAL_SECONDS = 0.1  # between two queries, while anything is followed

REVS = sa.select(Room.id, Room.rev).where(Room.id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid())))

RoomWatch = Watch[int]  # the state of a room is the number of its last change


def init_app(app: Flask) -> None:
    """Give the application its watch."""
    app.extensions[EXTENSION] = Watch(app, "room watch", find_revs, poll_seconds=POLL_INTERVAL_SECONDS)


def get_room_watch() -> RoomWatch:
    """Return the current application's watch."""
    watch: RoomWatch = current_app.extensions[EXTENSION]
    return watch


def find_revs(ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the numbers of the last changes of those of some rooms that are there."""
    with read() as connection:
        return {row.id: row.rev for row in connection.execute(REVS, {"ids": ids})}
