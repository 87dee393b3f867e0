"""The closing of connections: of expired tokens, ended credentials and slow clients, and of a worker that ends."""

import random
import time
from collections.abc import Sequence

from flask_socketio import SocketIO

from chatbot.observability import metrics
from chatbot.services.accounts import authentication

from .connections import Connection, Registry
from .packets import BoundedQueue

POLL_INTERVAL_SECONDS = 0.1  # between two polls at the queues
CHECK_SECONDS = 0.5  # between two polls at the credentials of all sockets
RECONNECT_SECONDS = 3.0  # over which clients of a worker that ends come back
CLOSING_SECONDS = 0.5  # in which a client gets its last event
SLOW_CLOSING_SECONDS = 10.0  # in which a slow one does
SLOW = "slow_consumer"


class ConnectionCloser:
    """Closes connections with an event `closing`, and their WebSockets with the last one."""

    def __init__(self, socketio: SocketIO, registry: Registry) -> None:
        self._socketio = socketio
        self._registry = registry
        self._checked_at = 0.0
        self.is_draining = False

    def close(self, connection: Connection, code: str, *, reconnect: bool, after: float = 0.0) -> None:
        """Send a client the reason why its connection to a namespace ends, and end it."""
        self._registry.remove(connection.sid)
        self._emit(connection, code, reconnect=reconnect, after=after)
        if self._registry.list_by_websocket(connection.websocket):
            self._socketio.server.disconnect(connection.sid, namespace=connection.namespace)
        else:
            connection.websocket.end_after(CLOSING_SECONDS)

    def close_slow(self, connection: Connection) -> None:
        """End the WebSocket of a client that reads too slowly."""
        queue = self.find_queue(connection)
        if queue is not None:
            queue.clear()
        self._close_all(self._registry.list_by_websocket(connection.websocket), SLOW, SLOW_CLOSING_SECONDS)

    def drain(self) -> None:
        """Send all clients elsewhere, not all at once; others are refused from now on, or sent after them by `poll`."""
        self.is_draining = True
        self._send_elsewhere()

    def _send_elsewhere(self) -> None:
        for websocket in {one.websocket for one in self._registry.list_all()}:
            after = random.uniform(0, RECONNECT_SECONDS)  # noqa: S311 - a delay, no secret
            self._close_all(self._registry.list_by_websocket(websocket), "draining", CLOSING_SECONDS, after)

    def poll(self) -> None:
        """Close the connections that are to end by now."""
        if self.is_draining:  # those whose handshake was under way
            self._send_elsewhere()
        for connection in self._registry.list_all():
            queue = self.find_queue(connection)
            if queue is not None and queue.has_overflowed:
                self.close_slow(connection)
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            self._checked_at = time.monotonic()
            self._close_ended(self._registry.list_all())

    def find_queue(self, connection: Connection) -> BoundedQueue | None:
        """Return the packets that wait for a client; None where its WebSocket has ended."""
        server = self._socketio.server
        engine_id = server.manager.eio_sid_from_sid(connection.sid, connection.namespace)
        queue = getattr(server.eio.sockets.get(engine_id), "queue", None)
        return queue if isinstance(queue, BoundedQueue) else None

    def _close_ended(self, connections: Sequence[Connection]) -> None:
        """Close the connections of expired tokens, and of credentials and accounts that have ended."""
        moment = time.time()
        ended = authentication.find_ended([one.caller for one in connections])
        for connection in connections:
            if connection.caller.credential_id in ended:
                self.close(connection, "unauthenticated", reconnect=False)
            elif connection.expires_at is not None and connection.expires_at <= moment:
                self.close(connection, "token_expired", reconnect=True)

    def _close_all(self, connections: Sequence[Connection], code: str, seconds: float, after: float = 0.0) -> None:
        """Close all connections of a WebSocket, and it."""
        for connection in connections:
            self._registry.remove(connection.sid)
            self._emit(connection, code, reconnect=True, after=after)
            connection.websocket.end_after(seconds)

    def _emit(self, connection: Connection, code: str, *, reconnect: bool, after: float) -> None:
        metrics.SOCKETS_CLOSED.labels(code).inc()
        event = {"code": code, "reconnect": reconnect, "after": round(after, 2)}
        self._socketio.emit("closing", event, namespace=connection.namespace, to=connection.sid)
