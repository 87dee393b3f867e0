"""Delivery of the changes of rooms to the sockets of this process.

A loop looks in the database at the rooms that sockets follow; a change of another host is found in the same way as one
of this process. What it misses, while the database is away, it finds when that is back.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from flask_socketio import SocketIO
from sqlalchemy.exc import SQLAlchemyError

from chatbot.errors import ChatbotError, CursorExpired, NotFound
from chatbot.schemas import problem
from chatbot.schemas.rooms import ChangedThingSchema
from chatbot.services.accounts import authentication
from chatbot.services.rooms import changes
from chatbot.services.rooms.records import Audience, RoomChange
from chatbot.services.rooms.watch import find_revs

from .connections import Connection, Registry
from .transport import BoundedQueue

NAMESPACE = "/rooms"
LOOK_SECONDS = 0.1  # between two looks at the rooms
CHECK_SECONDS = 0.5  # between two looks at the credentials of all sockets
MAX_CHANGES = 200  # of a room, in one look
RECONNECT_SECONDS = 3.0  # over which clients of a worker that ends come back
CLOSING_SECONDS = 0.5  # in which a client gets its last event
SLOW_CLOSING_SECONDS = 10.0  # in which a slow one does
SLOW = "slow_consumer"

log = structlog.get_logger(__name__)


class Deliveries:
    """Emits changes to sockets, and closes those with an end, in a loop."""

    def __init__(self, socketio: SocketIO, registry: Registry) -> None:
        self._socketio = socketio
        self._registry = registry
        self._lock = threading.Lock()
        self._is_running = False
        self._checked_at = 0.0
        self._changes = ChangedThingSchema()

    def start(self) -> None:
        """Let the loop run while there are sockets."""
        with self._lock:
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="room delivery", daemon=True).start()

    def drain(self) -> None:
        """Send all clients elsewhere, not all at once."""
        for connection in self._registry.list_all():
            after = random.uniform(0, RECONNECT_SECONDS)  # noqa: S311 - a delay, no secret
            self.close(connection, "draining", reconnect=True, after=after)

    def close(self, connection: Connection, code: str, *, reconnect: bool, after: float = 0.0) -> None:
        """Send a client the reason for the end of its socket, and end it."""
        self._registry.remove(connection.sid)
        event = {"code": code, "reconnect": reconnect, "after": round(after, 2)}
        self._socketio.emit("closing", event, namespace=NAMESPACE, to=connection.sid)
        connection.websocket.end_after(SLOW_CLOSING_SECONDS if code == SLOW else CLOSING_SECONDS)

    def _run(self) -> None:
        while True:
            with self._lock:
                connections = self._registry.list_all()
                if not connections:
                    self._is_running = False
                    return
            try:
                with self._registry.app.app_context():
                    self._close_slow(connections)
                    self._close_ended(connections)
                    self._deliver_all(self._registry.list_all())
            except (ChatbotError, SQLAlchemyError) as error:
                log.warning("rooms not delivered", error=type(error).__name__)
            except Exception as error:  # the loop serves all sockets, and one of them was at fault
                log.error("rooms not delivered", exc_info=error)
            time.sleep(LOOK_SECONDS)

    def _deliver_all(self, connections: list[Connection]) -> None:
        followed: defaultdict[UUID, list[Connection]] = defaultdict(list)
        for connection in connections:
            for room_id in list(connection.rooms):
                followed[room_id].append(connection)
        revs = find_revs(sorted(followed)) if followed else {}
        for room_id, among in followed.items():
            known = min(one.rooms.get(room_id, 0) for one in among)
            if revs.get(room_id) != known:
                self._deliver(room_id, among, known)

    def _deliver(self, room_id: UUID, connections: list[Connection], since_rev: int) -> None:
        try:
            page, audience = changes.read_for_members(room_id, since_rev=since_rev, limit=MAX_CHANGES)
        except NotFound:
            self._remove(room_id, connections)
            return
        except CursorExpired as error:  # the database was restored
            for connection in connections:
                self.close(connection, problem.of(error).code, reconnect=True)
            return
        for change in page.items:
            self._emit(change, room_id, connections, audience)
        self._remove(room_id, [one for one in connections if one.caller.user_id not in audience.joined])
        for connection in connections:
            if connection.rooms.get(room_id, page.rev) < page.rev:
                connection.rooms[room_id] = page.rev

    def _emit(self, change: RoomChange, room_id: UUID, connections: list[Connection], audience: Audience) -> None:
        """Emit a change to the sockets that have not heard of it, of members that may."""
        sids = [
            one.sid
            for one in connections
            if one.rooms.get(room_id, change.rev) < change.rev and audience.may_read(one.caller.user_id, change)
        ]
        if not sids:
            return
        data: dict[str, Any] = self._changes.dump(change)
        name, event = ("message", data["data"]) if change.is_new_message else ("changed", {"room_id": room_id, **data})
        self._socketio.emit(name, event, namespace=NAMESPACE, to=sids)

    def _remove(self, room_id: UUID, connections: Iterable[Connection]) -> None:
        """Take sockets out of a room; they stay open for other rooms."""
        for connection in connections:
            if connection.rooms.pop(room_id, None) is not None:
                self._socketio.emit("removed", {"room_id": room_id}, namespace=NAMESPACE, to=connection.sid)

    def _close_slow(self, connections: list[Connection]) -> None:
        """Close sockets with an overflowed queue: their clients read too slowly, or not at all."""
        server = self._socketio.server
        for connection in connections:
            engine_id = server.manager.eio_sid_from_sid(connection.sid, NAMESPACE)
            socket = server.eio.sockets.get(engine_id)
            queue = getattr(socket, "queue", None)
            if isinstance(queue, BoundedQueue) and queue.has_overflowed:
                queue.clear()
                self.close(connection, SLOW, reconnect=True)

    def _close_ended(self, connections: list[Connection]) -> None:
        """Close sockets with expired tokens, and those of credentials and accounts that have ended; now and then."""
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = time.monotonic()
        moment = time.time()
        ended = authentication.find_ended([one.caller for one in connections])
        for connection in connections:
            if connection.caller.credential_id in ended:
                self.close(connection, "unauthenticated", reconnect=False)
            elif connection.expires_at is not None and connection.expires_at <= moment:
                self.close(connection, "token_expired", reconnect=True)
