"""WebSockets as engine.io uses them, with bounds: whole frames, small messages, a queue that ends."""

import contextlib
import importlib.util
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import orjson
import simple_websocket
from gevent.lock import RLock
from gevent.queue import JoinableQueue
from wsproto.utilities import LocalProtocolError

from chatbot.errors import CannotServe
from chatbot.schemas import problem
from chatbot.web import problems

PATH = "/socket.io/"
KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
REFUSAL_HEADERS = [
    ("Content-Type", problems.MEDIA_TYPE),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]
SERVED = "chatbot.websockets"  # in the environment: those that a request has become
WEBSOCKET = "chatbot.websocket"  # in the environment of its request
MAX_MESSAGE_BYTES = 1 << 20  # that a client sends
SEND_BUFFER_BYTES = 1 << 17  # in the kernel, which else keeps up to 4 MB for a client that does not read
BINARY_PACKETS = ("45", "46")  # of Socket.IO: an event and an acknowledgement with attachments
PIECE_BYTES = 1_024  # of frames that are read without a break: a hundred at most
MAX_FRAMES_PER_SECOND = 200  # of one client
CLOSE_SECONDS = 1.0  # in which a client takes the closing frame
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
    middle of the last. It reads without a break while bytes wait, so that others run between small pieces.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._lock = RLock()
        # One silent longer than this does not answer pings; one that takes nothing for so long is gone.
        wrapped.settimeout(PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS)
        wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.close = wrapped.close

    def recv(self, size: int) -> bytes:
        """Receive a small piece, after others have run."""
        gevent.sleep(0)
        data: bytes = self._wrapped.recv(min(size, PIECE_BYTES))
        return data

    def send(self, data: bytes) -> int:
        """Send all data; raises OSError."""
        with self._lock:
            self._wrapped.sendall(data)
        return len(data)

    def end(self) -> None:
        """End the connection at once."""
        with contextlib.suppress(OSError):
            self._wrapped.shutdown(socket.SHUT_RDWR)


class BoundedConnection:
    """A WebSocket connection of wsproto that ends at a flood of frames."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._second = 0
        self._frames = 0
        self.send = wrapped.send
        self.receive_data = wrapped.receive_data

    def events(self) -> Iterator[Any]:
        """Yield the events of received bytes; raises LocalProtocolError, which ends it, for a flood of frames."""
        for event in self._wrapped.events():
            if getattr(event, "frame_finished", True):
                self._count()
            yield event

    def _count(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._frames = 0
        self._frames += 1
        if self._frames > MAX_FRAMES_PER_SECOND:
            raise LocalProtocolError("Too many frames.")


class BoundedWebSocket:
    """A WebSocket as engine.io's drivers have it: called with an environment, then `send`, `wait` and `close`."""

    def __init__(self, handler: Any, server: Any) -> None:
        self._handler = handler
        self._waiting: list[Callable[[], object]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve the connection until it ends; the server closes it then."""
        # Without compression: its windows take 300 KB of memory for each socket.
        plain = {name: value for name, value in environ.items() if name != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
        self._whole = plain["gunicorn.socket"] = WholeSocket(environ["gunicorn.socket"])
        self._socket = simple_websocket.Server(plain, max_message_size=MAX_MESSAGE_BYTES)
        self._socket.ws = BoundedConnection(self._socket.ws)
        self._end = gevent.spawn_later(AUTHENTICATION_SECONDS, self.close)
        environ[WEBSOCKET] = self
        environ[SERVED].append(self)
        try:
            return self._handler(self)
        finally:
            self._run_waiting()
            self._end.kill()
            self._whole.end()

    def keep_open(self) -> None:
        """Let the socket live on: a caller was authenticated."""
        self._end.kill()

    def when_answered(self, function: Callable[[], object]) -> None:
        """Call a function behind the acknowledgement of the event that is handled now, or at the end."""
        self._waiting.append(function)

    def end_after(self, seconds: float) -> None:
        """Close the connection after some seconds, with or without its client."""
        self._end.kill()
        self._end = gevent.spawn_later(seconds, self.close)

    def send(self, message: Any) -> None:
        """Send a message; raises OSError where the connection has ended."""
        try:
            self._socket.send(message)
        except simple_websocket.ConnectionClosed as error:
            raise OSError from error

    def wait(self) -> Any:
        """Return the next message, None at the end; binary ones, of which Socket.IO keeps any number, end it."""
        self._run_waiting()
        try:
            message = self._socket.receive()
        except simple_websocket.ConnectionClosed:
            return None
        if isinstance(message, bytes) or message.startswith(BINARY_PACKETS):
            self.close()
            return None
        return message

    def _run_waiting(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def close(self) -> None:
        """Close the connection; a client that takes no closing frame is cut off."""
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError), gevent.Timeout(CLOSE_SECONDS, False):
            self._socket.close()
        self._whole.end()


class WebSocketsOnly:
    """WSGI middleware around Socket.IO that refuses all but WebSocket handshakes (RFC 6455, 4.2.1)."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a WebSocket to its end, or refuse another request; all else is the application's."""
        if not environ["PATH_INFO"].startswith(PATH):
            return self._application(environ, start_response)
        if not is_handshake(environ):
            document = problems.body(problem.BY_STATUS[400], "This address is for WebSockets.", PATH, "")
            data = orjson.dumps(document)
            start_response("400 Bad Request", [*REFUSAL_HEADERS, ("Content-Length", str(len(data)))])
            return [data]
        served = environ[SERVED] = list[BoundedWebSocket]()
        body = self._application(environ, start_response)
        if served:
            raise StopIteration  # gunicorn's word for a connection that is not its own any more
        return body


def is_handshake(environ: dict[str, Any]) -> bool:
    """Return whether a request opens a WebSocket."""
    connection = [part.strip().lower() for part in environ.get("HTTP_CONNECTION", "").split(",")]
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "upgrade" in connection
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")) is not None
    )


class BoundedQueue(JoinableQueue):  # type: ignore[misc]  # gevent has no types
    """The packets that wait for a socket; when they are too many it `has_overflowed`, and takes no more."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0
        self.has_overflowed = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a packet, unless the queue has overflowed; None, which ends the writer, is always taken.

        So is a packet that is larger than the bound, such as a long answer, while no other waits.
        """
        size = _get_size(item)
        is_full = self.qsize() >= MAX_QUEUED_PACKETS or (self.qsize() and self._bytes + size > MAX_QUEUED_BYTES)
        if item is not None and is_full:
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
