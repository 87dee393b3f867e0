"""The connections of a process: their callers, and the rooms that they follow."""

import threading
from dataclasses import dataclass, field
from uuid import UUID

from flask import Flask, current_app

from chatbot.cluster import get_cluster
from chatbot.errors import TooManySockets
from chatbot.observability import metrics
from chatbot.services.accounts.callers import Caller
from chatbot.services.rooms.records import RoomUser

from .shared_counts import SharedCounts, Socket
from .transport import BoundedWebSocket

EXTENSION = "chatbot.sockets"
MAX_SOCKETS_PER_USER = 10


@dataclass(slots=True)
class Connection:
    """A WebSocket's connection to a namespace: its caller, when its token expires (seconds since 1970, None: never).

    Of each of its rooms it has heard the changes up to a `rev`, of each answer there the text up to an offset.
    """

    sid: str
    namespace: str
    caller: Caller
    expires_at: float | None
    websocket: BoundedWebSocket
    rooms: dict[UUID, int] = field(default_factory=dict)
    answers: dict[UUID, int] = field(default_factory=dict)
    user: RoomUser | None = None  # loaded with the first room
    turns: dict[UUID, object] = field(default_factory=dict)  # that are followed, each with its newest `TurnReader`


class Registry:
    """The connections of open sockets by their ids."""

    def __init__(self, app: Flask, counts: SharedCounts | None = None) -> None:
        self.app = app
        self._counts = counts  # None: there is no other process
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection; raises TooManySockets for a user with as many WebSockets as one may have."""
        if self.app.config["RATELIMIT_ENABLED"]:
            self._require_capacity(connection)
        with self._lock:
            self._connections[connection.sid] = connection
            metrics.SOCKETS.labels(connection.namespace).inc()

    def remove(self, sid: str) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            connection = self._connections.pop(sid, None)
            if connection is not None:
                metrics.SOCKETS.labels(connection.namespace).dec()
        if connection is not None and self._counts is not None and not self.list_by_websocket(connection.websocket):
            self._counts.release(_get_socket(connection))

    def renew_counts(self) -> None:
        """Renew the sockets of this process where those of all processes are counted."""
        if self._counts is not None and self.app.config["RATELIMIT_ENABLED"]:
            self._counts.renew({_get_socket(one) for one in self.list_all()})

    def get(self, sid: str) -> Connection | None:
        """Return a connection, None where it has ended."""
        return self._connections.get(sid)

    def list_all(self) -> list[Connection]:
        """Return all connections."""
        with self._lock:
            return list(self._connections.values())

    def list_by_websocket(self, websocket: BoundedWebSocket) -> list[Connection]:
        """Return the connections of a WebSocket: one for each namespace that it has joined."""
        return [one for one in self.list_all() if one.websocket is websocket]

    def _require_capacity(self, connection: Connection) -> None:
        """Raise TooManySockets for a user with as many WebSockets, here or in all processes, as one may have."""
        user_id = connection.caller.user_id
        others = {one.websocket for one in self.list_all() if one.caller.user_id == user_id}
        others.discard(connection.websocket)
        is_full = len(others) >= MAX_SOCKETS_PER_USER
        if not is_full and self._counts is not None:
            is_full = not self._counts.take(_get_socket(connection), MAX_SOCKETS_PER_USER)
        if is_full:
            raise TooManySockets(
                f"You have {MAX_SOCKETS_PER_USER} open sockets, the most that one user may; close one first."
            )


def init_app(app: Flask) -> Registry:
    """Give the application its registry of sockets."""
    cluster = get_cluster(app)
    registry = app.extensions[EXTENSION] = Registry(app, SharedCounts(cluster.redis) if cluster else None)
    return registry


def _get_socket(connection: Connection) -> Socket:
    return connection.caller.user_id, id(connection.websocket)


def get_registry() -> Registry:
    """Return the current application's registry of sockets."""
    registry: Registry = current_app.extensions[EXTENSION]
    return registry
