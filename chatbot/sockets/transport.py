"""WebSockets as engine.io uses them, with bounds."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import simple_websocket
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from .whole_socket import CLOSE_SECONDS, WholeSocket, encode_text

SERVED = "chatbot.websockets"  # in the environment: those that a request has become
WEBSOCKET = "chatbot.websocket"  # in the environment of its request
MAX_MESSAGE_BYTES = 1 << 20  # that a client sends
# Of engine.io, and of Socket.IO in a message. Others, such as an empty one, end the handler with an error that leaves
# the connection behind, or have attachments, of which Socket.IO keeps any number. Python reads digits of any script.
PACKET = re.compile(r"[1236]|4(?:[0-4]|\D|\Z)")
MAX_UNHANDLED_MESSAGES = 4  # of a client, beyond which its socket is not read
MAX_UNHANDLED_CHARACTERS = 1 << 16
MAX_FRAMES_PER_SECOND = 200  # of one client
AUTHENTICATION_SECONDS = 10.0  # in which a socket has to join a namespace


class BoundedConnection:
    """A WebSocket connection of wsproto that is closed when its client sends too many frames a second.

    `send_close` sends the closing frame.
    """

    def __init__(self, wrapped: Any, send_close: Callable[[bytes], object]) -> None:
        self._wrapped = wrapped
        self._send_close = send_close
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
            self._send_close(self.send(CloseConnection(CloseReason.POLICY_VIOLATION, "Too many frames.")))
            raise LocalProtocolError("Too many frames.")


class BoundedWebSocket:
    """A WebSocket as engine.io's drivers have it: called with an environment, then `send`, `wait` and `close`."""

    def __init__(self, handler: Any, server: Any) -> None:
        self._handler = handler
        self._callbacks: list[Callable[[], object]] = []
        self.is_ending = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve the connection until it ends; the server closes it then."""
        # Without compression: its windows take 300 KB of memory for each socket.
        plain = {name: value for name, value in environ.items() if name != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
        self._whole = plain["gunicorn.socket"] = WholeSocket(environ["gunicorn.socket"])
        self._socket = simple_websocket.Server(plain, max_message_size=MAX_MESSAGE_BYTES)
        self._socket.ws = BoundedConnection(self._socket.ws, self._whole.send_at_once)
        self._whole.is_full = self._has_unhandled
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
            self._socket.thread.join(CLOSE_SECONDS)
            self._whole.end()

    def keep_open(self) -> None:
        """Let the socket live on: a caller was authenticated."""
        self._end.kill()

    def call_when_answered(self, function: Callable[[], object]) -> None:
        """Call a function behind the acknowledgement of the event that is handled now, or at the end."""
        self._callbacks.append(function)

    def end_after(self, seconds: float) -> None:
        """Close the connection after some seconds, with or without its client."""
        self.is_ending = True
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
        """Return the next message, None at the end.

        A binary message or one that is no packet closes the connection.
        """
        self._run_callbacks()
        try:
            message = self._socket.receive()
        except simple_websocket.ConnectionClosed:
            return None
        if isinstance(message, bytes) or PACKET.match(message) is None:
            self.close(CloseReason.UNSUPPORTED_DATA)
            return None
        return message

    def _has_unhandled(self) -> bool:
        """Return whether messages wait for the handler, which simple-websocket would read without an end."""
        waiting = self._socket.input_buffer
        is_full = len(waiting) >= MAX_UNHANDLED_MESSAGES or sum(map(len, waiting)) >= MAX_UNHANDLED_CHARACTERS
        return is_full and bool(self._socket.connected)

    def _run_callbacks(self) -> None:
        while self._callbacks:
            self._callbacks.pop(0)()

    def close(self, reason: CloseReason = CloseReason.NORMAL_CLOSURE) -> None:
        """Close the connection for a reason (RFC 6455, 7.4); a client that takes no closing frame is cut off."""
        with gevent.Timeout(CLOSE_SECONDS, False):
            with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
                self._socket.close(reason)
            self._socket.thread.join()
        self._whole.end()
