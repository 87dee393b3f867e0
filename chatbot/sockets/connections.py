"""The sockets of a process: their callers, and the rooms that they follow."""

import threading
from dataclasses import dataclass, field
from uuid import UUID

from flask import Flask, current_app

from chatbot.errors import TooManySockets
from chatbot.services.accounts.callers import Caller

from .transport import BoundedWebSocket

EXTENSION = "chatbot.sockets"
MAX_SOCKETS_PER_USER = 10


@dataclass(slots=True)
class Connection:
    """A socket: its caller, when its token expires (seconds since 1970, None: never), and its rooms.

    Of each room it has heard the changes up to a `rev`.
    """

    sid: str
    caller: Caller
    expires_at: float | None
    websocket: BoundedWebSocket
    rooms: dict[UUID, int] = field(default_factory=dict)


class Registry:
    """The open sockets by their ids."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """Add a socket; raises TooManySockets for a user with as many as one may have."""
        user_id = connection.caller.user_id
        with self._lock:
            open_sockets = sum(one.caller.user_id == user_id for one in self._connections.values())
            if self.app.config["RATELIMIT_ENABLED"] and open_sockets >= MAX_SOCKETS_PER_USER:
                raise TooManySockets(f"You may have {MAX_SOCKETS_PER_USER} open sockets.")
            self._connections[connection.sid] = connection

    def remove(self, sid: str) -> None:
        """Forget a socket that has ended."""
        with self._lock:
            self._connections.pop(sid, None)

    def get(self, sid: str) -> Connection | None:
        """Return a socket, None where it has ended."""
        return self._connections.get(sid)

    def list_all(self) -> list[Connection]:
        """Return all open sockets."""
        with self._lock:
            return list(self._connections.values())


def init_app(app: Flask) -> Registry:
    """Give the application its registry of sockets."""
    registry = app.extensions[EXTENSION] = Registry(app)
    return registry


def get_registry() -> Registry:
    """Return the current application's registry of sockets."""
    registry: Registry = current_app.extensions[EXTENSION]
    return registry
