"""Clients of `/rooms` for a thousand sockets in one process: they speak as much Socket.IO as rooms need."""

import asyncio
import itertools
import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
NAMESPACE = "/rooms"
CONNECT = f"40{NAMESPACE},"
CONNECTED = CONNECT.encode()
REFUSED = f"44{NAMESPACE}".encode()
ACKNOWLEDGED = f"43{NAMESPACE},".encode()
EVENT = f"42{NAMESPACE},".encode()
CLOSING = f'42{NAMESPACE},["closing",'.encode()
OPENING = 32  # at a time
CALL_SECONDS = 30.0

Listener = Callable[["RawSocket", bytes, float], None]  # with an event as a packet, and when it came


class ProblemAnswer(Exception):
    """An event was acknowledged with a problem document."""


class RawSocket(asyncio.Protocol):
    """A socket in the namespace; a listener gets its events."""

    def __init__(self, port: int, token: str, listener: Listener) -> None:
        self._port = port
        self._token = token
        self.listener = listener
        self._buffer = bytearray()
        self._is_open = False
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.joined = asyncio.get_running_loop().create_future()
        self.end = "the server closed the socket"

    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(HANDSHAKE.format(port=self._port).encode())

    def connection_lost(self, error: Exception | None) -> None:
        """End all calls."""
        for future in [self.joined, *self._waiting.values()]:
            if not future.done():
                future.set_exception(error or ConnectionResetError(self.end))

    def data_received(self, data: bytes) -> None:
        """Take the packets that are whole."""
        moment = time.monotonic()
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.end = repr(bytes(self._buffer[:300]))
                self._transport.close()
                return
            self._is_open = True
            self._buffer = rest
        while (frame := self._cut_frame()) is not None:
            self._take(frame, moment)

    def _cut_frame(self) -> bytes | None:
        """Return the payload of the first whole frame (RFC 6455, 5.2), which a server does not mask."""
        if len(self._buffer) < 2:
            return None
        length = self._buffer[1]
        start = {126: 4, 127: 10}.get(length, 2)
        if start > 2:
            length = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + length:
            return None
        frame = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return frame

    def _take(self, packet: bytes, moment: float) -> None:
        if packet.startswith(EVENT):
            if packet.startswith(CLOSING):
                self.end = packet.decode()
            self.listener(self, packet, moment)
        elif packet.startswith(ACKNOWLEDGED):
            number, _, answer = packet[len(ACKNOWLEDGED) :].partition(b"[")
            future = self._waiting.pop(int(number))
            if future.done():  # its caller waits no more
                return
            if answer == b"]":  # of a socket that is being closed
                future.set_exception(ConnectionResetError(self.end))
            else:
                future.set_result(json.loads(b"[" + answer)[0])
        else:
            self._take_control(packet)

    def _take_control(self, packet: bytes) -> None:
        if packet.startswith(b"2"):
            self._send("3")
        elif packet.startswith(b"0"):
            self._send(CONNECT + json.dumps({"token": self._token}))
        elif self.joined.done():
            return
        elif packet.startswith(CONNECTED):
            self.joined.set_result(None)
        elif packet.startswith(REFUSED):
            self.joined.set_exception(ProblemAnswer(packet.decode()))

    def _send(self, text: str) -> None:
        """Send a text frame, masked with zeros."""
        data = text.encode()
        if len(data) < 126:
            head = bytes([0x81, 0x80 | len(data)])
        else:
            head = bytes([0x81, 0x80 | 126, *len(data).to_bytes(2, "big")])
        self._transport.write(head + bytes(4) + data)

    async def call(self, event: str, **data: Any) -> Any:
        """Send an event and return its acknowledgement; raises ProblemAnswer, OSError, TimeoutError."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send(f"42{NAMESPACE},{number}{json.dumps([event, data])}")
        answer = await asyncio.wait_for(future, CALL_SECONDS)
        if isinstance(answer, dict) and "code" in answer:
            raise ProblemAnswer(answer)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def connect(port: int, tokens: Sequence[str], listener: Listener) -> list[RawSocket]:
    """Open a socket for each token."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(OPENING)

    async def open_one(token: str) -> RawSocket:
        async with gate:
            _, opened = await loop.create_connection(lambda: RawSocket(port, token, listener), "127.0.0.1", port)
            try:
                await asyncio.wait_for(opened.joined, CALL_SECONDS)
            except BaseException:
                opened.close()
                raise
            return opened

    return list(await asyncio.gather(*map(open_one, tokens)))


async def join(sockets: Sequence[RawSocket], room_ids: Sequence[str]) -> None:
    """Let each socket follow a room."""
    gate = asyncio.Semaphore(OPENING)

    async def join_one(one: RawSocket, room_id: str) -> None:
        async with gate:
            await one.call("join", room_id=room_id)

    await asyncio.gather(*map(join_one, sockets, room_ids))
