"""A socket wrapper that sends whole frames, receives in small pieces and closes gracefully."""

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import RLock

SEND_BUFFER_BYTES = 1 << 17  # in the kernel, which else keeps up to 4 MB for a client that does not read
PIECE_BYTES = 1_024  # of frames that are read without a break: a hundred at most
DROPPED_BYTES = 1 << 16  # at a time, of what a client sends to a socket that is being closed
FULL_SECONDS = 0.02  # between two polls whether more may be read
TEXT_FRAME = 0x81  # whole (RFC 6455, 5.2)
CLOSE_SECONDS = 1.0  # in which a client takes the closing frame
PING_INTERVAL_SECONDS = 25
PING_TIMEOUT_SECONDS = 20


class WholeSocket:
    """A socket with a `send` that sends all, data and control frames one after the other.

    simple-websocket 1.1 calls `send` once and takes a short write for a whole one: the next frame would begin in the
    middle of the last. It reads without a break while bytes wait, so that others run between small pieces.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._lock = RLock()
        self._rest = b""  # of a frame that the kernel took the beginning of
        # A client that is silent for longer answers no pings; one that accepts no data for as long is gone.
        wrapped.settimeout(PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS)
        wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.is_full: Callable[[], bool] = lambda: False  # whether messages wait to be handled
        self._is_read = False  # a greenlet waits for its data now

    def recv(self, size: int) -> bytes:
        """Receive a small piece, once others have run and earlier messages were handled."""
        gevent.sleep(0)
        while self.is_full():
            gevent.sleep(FULL_SECONDS)
        self._is_read = True
        try:
            data: bytes = self._wrapped.recv(min(size, PIECE_BYTES))
        finally:
            self._is_read = False
        return data

    def send(self, data: bytes) -> int:
        """Send all data; raises OSError, which ends the connection: nothing may follow the part of a frame."""
        with self._lock:
            rest = self._rest
            self._rest = b""
            try:
                self._wrapped.sendall(rest + data)
            except OSError:
                self.end()
                raise
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

    def close(self) -> None:
        """Send nothing more, and end when the client does, or after a second.

        A client that still sends would lose the last frame to a reset. A reader that waits closes the socket then.
        """
        with contextlib.suppress(OSError):
            self._wrapped.shutdown(socket.SHUT_WR)
        if self._is_read:
            return
        with contextlib.suppress(OSError), gevent.Timeout(CLOSE_SECONDS, False):
            while self._wrapped.recv(DROPPED_BYTES):
                gevent.sleep(0)
        self._wrapped.close()

    def end(self) -> None:
        """End the connection at once."""
        with contextlib.suppress(OSError):
            self._wrapped.shutdown(socket.SHUT_RDWR)


def encode_text(message: str) -> bytes:
    """Return a text as a WebSocket frame (RFC 6455, 5.2); wsproto takes 20 us for it, for each socket of a room."""
    data = message.encode()
    if len(data) < 126:
        return bytes((TEXT_FRAME, len(data))) + data
    if len(data) < 1 << 16:
        return bytes((TEXT_FRAME, 126)) + len(data).to_bytes(2) + data
    return bytes((TEXT_FRAME, 127)) + len(data).to_bytes(8) + data
