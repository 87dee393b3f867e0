"""Parts of a Socket.IO server for units: emitted events are noted, and connections are made without sockets."""

from typing import Any
from uuid import UUID, uuid4

from flask import Flask

from chatbot.services.accounts.callers import Caller
from chatbot.services.rooms.records import RoomUser
from chatbot.sockets.connections import Connection, Registry


class NotedEmits:
    """Notes the events that are emitted: the name, the data and the connections."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, Any]] = []

    def emit(self, event: str, data: Any, *, namespace: str, to: Any) -> None:
        """Note an event."""
        self.events.append((event, data, to))


class FakeWebSocket:
    """A WebSocket that is closed at once."""

    def __init__(self) -> None:
        self.is_closed = False

    def end_after(self, seconds: float) -> None:
        """Close it."""
        self.is_closed = True


def make_registry(*, is_limited: bool = False) -> Registry:
    """Return a registry of its own."""
    app = Flask("sockets")
    app.config["RATELIMIT_ENABLED"] = is_limited
    return Registry(app)


def connect(registry: Registry, user: RoomUser, *room_ids: UUID, websocket: Any = None) -> Connection:
    """Add a connection of a user that has joined rooms."""
    caller = Caller(user.id, uuid4(), "user")
    connection = Connection(uuid4().hex, "/rooms", caller, None, websocket or FakeWebSocket())
    connection.user = user
    connection.rooms = dict.fromkeys(room_ids, 1)
    registry.add(connection)
    return connection
