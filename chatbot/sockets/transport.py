"""WebSockets as engine.io uses them, with bounds: whole frames and small messages."""

import contextlib
import importlib.util
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import orjson
import simple_websocket
from gevent.lock import RLock
from wsproto.utilities import LocalProtocolError

from chatbot.errors import Busy, CannotServe
from chatbot.schemas import problem
from chatbot.web import problems

PATH = "/socket.io/"
KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
REFUSAL_HEADERS = [
    ("Content-Type", problems.MEDIA_TYPE),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]
BUSY = problem.PROBLEMS[Busy]
SERVED = "chatbot.websockets"  # in the environment: those that a request has become
WEBSOCKET = "chatbot.websocket"  # in the environment of its request
MAX_MESSAGE_BYTES = 1 << 20  # that a client sends
SEND_BUFFER_BYTES = 1 << 17  # in the kernel, which else keeps up to 4 MB for a client that does not read
BINARY_PACKETS = ("45", "46")  # of Socket.IO: an event and an acknowledgement with attachments
PIECE_BYTES = 1_024  # of frames that are read without a break: a hundred at most
MAX_FRAMES_PER_SECOND = 200  # of one client
TEXT_FRAME = 0x81  # whole (RFC 6455, 5.2)
CLOSE_SECONDS = 1.0  # in which a client takes the closing frame
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
        self._rest = b""  # of a frame that the kernel took the beginning of
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
            rest = self._rest
            self._rest = b""
            self._wrapped.sendall(rest + data)
        return len(data)

    def send_at_once(self, data: bytes) -> bool:
        """Send data without a wait, unless other data is being sent; return False where the kernel takes none of it."""
        if self._rest or self._lock.locked():
            return False
        try:
            sent = os.write(self._wrapped.fileno(), data)
        except OSError:  # it is full, or has ended, which its reader notices
            return False
        if sent < len(data):
            self._rest = data[sent:]
            gevent.spawn(self._send_rest)
        return True

    def _send_rest(self) -> None:
        with contextlib.suppress(OSError):
            self.send(b"")

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
        self._callbacks: list[Callable[[], object]] = []

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
        queue = self._handler.__self__.queue
        queue.websocket = self
        try:
            return self._handler(self)
        finally:
            self._run_callbacks()
            queue.websocket = None
            self._end.kill()
            self._whole.end()

    def keep_open(self) -> None:
        """Let the socket live on: a caller was authenticated."""
        self._end.kill()

    def call_when_answered(self, function: Callable[[], object]) -> None:
        """Call a function behind the acknowledgement of the event that is handled now, or at the end."""
        self._callbacks.append(function)

    def end_after(self, seconds: float) -> None:
        """Close the connection after some seconds, with or without its client."""
        self._end.kill()
        self._end = gevent.spawn_later(seconds, self.close)

    def send(self, message: str) -> None:
        """Send a message; raises OSError where the connection has ended."""
        if not self._socket.connected:
            raise ConnectionResetError
        self._whole.send(encode_text(message))

    def send_at_once(self, message: str) -> bool:
        """Send a message without a wait; return False where the client takes nothing now."""
        return bool(self._socket.connected) and self._whole.send_at_once(encode_text(message))

    def wait(self) -> Any:
        """Return the next message, None at the end; binary ones, of which Socket.IO keeps any number, end it."""
        self._run_callbacks()
        try:
            message = self._socket.receive()
        except simple_websocket.ConnectionClosed:
            return None
        if isinstance(message, bytes) or message.startswith(BINARY_PACKETS):
            self.close()
            return None
        return message

    def _run_callbacks(self) -> None:
        while self._callbacks:
            self._callbacks.pop(0)()

    def close(self) -> None:
        """Close the connection; a client that takes no closing frame is cut off."""
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError), gevent.Timeout(CLOSE_SECONDS, False):
            self._socket.close()
        self._whole.end()


class WebSocketsOnly:
    """WSGI middleware around Socket.IO that refuses all but WebSocket handshakes (RFC 6455, 4.2.1)."""

    def __init__(self, application: Callable[..., Iterable[bytes]], is_draining: Callable[[], bool]) -> None:
        self._application = application
        self._is_draining = is_draining

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a WebSocket to its end, or refuse another request; all else is the application's."""
        if not environ["PATH_INFO"].startswith(PATH):
            return self._application(environ, start_response)
        if not is_handshake(environ):
            return _refuse(start_response, "400 Bad Request", problem.BY_STATUS[400], "This address is for WebSockets.")
        if self._is_draining():  # the process would wait for the socket's end
            return _refuse(start_response, "503 Service Unavailable", BUSY, "The server is stopping; connect again.")
        served = environ[SERVED] = list[BoundedWebSocket]()
        body = self._application(environ, start_response)
        if served:
            raise StopIteration  # gunicorn's word for a connection that is not its own any more
        return body


def _refuse(start_response: Any, status: str, facts: problem.Problem, detail: str) -> Iterable[bytes]:
    data = orjson.dumps(problems.body(facts, detail, PATH, ""))
    retry = [("Retry-After", "1")] if facts.retryable else []
    start_response(status, [*REFUSAL_HEADERS, *retry, ("Content-Length", str(len(data)))])
    return [data]


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


def encode_text(message: str) -> bytes:
    """Return a text as a WebSocket frame (RFC 6455, 5.2); wsproto takes 20 us for it, for each socket of a room."""
    data = message.encode()
    if len(data) < 126:
        return bytes((TEXT_FRAME, len(data))) + data
    if len(data) < 1 << 16:
        return bytes((TEXT_FRAME, 126)) + len(data).to_bytes(2) + data
    return bytes((TEXT_FRAME, 127)) + len(data).to_bytes(8) + data
