"""WebSockets as engine.io uses them, with bounds: whole frames, small messages, a queue that ends."""

import importlib.util
import socket
from typing import Any

import gevent
import simple_websocket
from gevent.lock import RLock
from gevent.queue import JoinableQueue

from chatbot.errors import CannotServe

WEBSOCKET = "chatbot.websocket"  # in the environment of its request
MAX_MESSAGE_BYTES = 1 << 20  # that a client sends
SEND_BUFFER_BYTES = 1 << 17  # in the kernel, which else keeps up to 4 MB for a client that does not read
MAX_QUEUED_PACKETS = 256
MAX_QUEUED_BYTES = 1 << 20
AUTHENTICATION_SECONDS = 10.0  # in which a socket has to join a namespace
PING_INTERVAL_SECONDS = 25
PING_TIMEOUT_SECONDS = 20


def refuse_other_websockets() -> None:
    """Raise CannotServe where engine.io would take another library, which knows nothing of this server."""
    if importlib.util.find_spec("geventwebsocket") is not None:
        raise CannotServe(
            "gevent-websocket is installed, which takes WebSockets over: `pip uninstall gevent-websocket`."
        )


class WholeSocket:
    """A socket with a `send` that sends all, data and control frames one after the other.

    simple-websocket 1.1 calls `send` once and takes a short write for a whole one: the next frame would begin in the
    middle of the last.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._lock = RLock()
        # One silent longer than this does not answer pings; one that takes nothing for so long is gone.
        wrapped.settimeout(PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS)
        wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.recv = wrapped.recv
        self.close = wrapped.close

    def send(self, data: bytes) -> int:
        """Send all data; raises OSError."""
        with self._lock:
            self._wrapped.sendall(data)
        return len(data)


class BoundedWebSocket:
    """A WebSocket as engine.io's drivers have it: called with an environment, then `send`, `wait` and `close`."""

    def __init__(self, handler: Any, server: Any) -> None:
        self._handler = handler

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve the connection until it ends; the server closes it then."""
        # Without compression: its windows take 300 KB of memory for each socket.
        plain = {name: value for name, value in environ.items() if name != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
        plain["gunicorn.socket"] = WholeSocket(environ["gunicorn.socket"])
        self._socket = simple_websocket.Server(plain, max_message_size=MAX_MESSAGE_BYTES)
        self._end = gevent.spawn_later(AUTHENTICATION_SECONDS, self.close)
        environ[WEBSOCKET] = self
        try:
            self._handler(self)
        finally:
            self._end.kill()
        raise StopIteration  # gunicorn's word for a connection that is not its own any more

    def keep_open(self) -> None:
        """Let the socket live on: a caller was authenticated."""
        self._end.kill()

    def send(self, message: Any) -> None:
        """Send a message; raises OSError where the connection has ended."""
        try:
            self._socket.send(message)
        except simple_websocket.ConnectionClosed as error:
            raise OSError from error

    def wait(self) -> Any:
        """Return the next message, None at the end."""
        try:
            return self._socket.receive()
        except simple_websocket.ConnectionClosed:
            return None

    def close(self) -> None:
        """Close the connection."""
        if self._socket.connected:
            self._socket.close()


class BoundedQueue(JoinableQueue):  # type: ignore[misc]  # gevent has no types
    """The packets that wait for a socket; when they are too many it `has_overflowed`, and takes no more."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0
        self.has_overflowed = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a packet, unless the queue has overflowed; None, which ends the writer, is always taken."""
        size = _get_size(item)
        if item is not None and (self.qsize() >= MAX_QUEUED_PACKETS or self._bytes + size > MAX_QUEUED_BYTES):
            self.has_overflowed = True
            return
        self._bytes += size
        super().put(item, block, timeout)

    def clear(self) -> None:
        """Drop all packets: the last one is to find room."""
        while not self.empty():
            self.get(block=False)
            self.task_done()
        self.has_overflowed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next packet."""
        item = super().get(block, timeout)
        self._bytes -= _get_size(item)
        return item


def _get_size(item: Any) -> int:
    data = getattr(item, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0
