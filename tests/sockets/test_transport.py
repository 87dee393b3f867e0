"""The transport of sockets: whole frames, queues with an end, origins."""

import re
import socket
import threading

import gevent
import gevent.socket
import pytest
from engineio.packet import MESSAGE, PING, Packet
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from chatbot.sockets.handshakes import is_handshake
from chatbot.sockets.packets import MAX_QUEUED_BYTES, MAX_QUEUED_PACKETS, BoundedQueue
from chatbot.sockets.server import is_allowed
from chatbot.sockets.whole_socket import WholeSocket, encode_text

OWN = {"HTTP_HOST": "chat.example:8000"}
PATTERNS = [re.compile(r"https://app\.example\Z", re.IGNORECASE)]


class ShortSocket:
    """A socket that takes ten bytes of each write, as a full one does."""

    def __init__(self) -> None:
        self.received = b""
        self.settimeout = self.setsockopt = self.recv = self.close = lambda *_: None

    def send(self, data: bytes) -> int:
        self.received += data[:10]
        return len(data[:10])

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[self.send(data) :]


def test_send_sends_all_and_frames_do_not_mix() -> None:
    wrapped = ShortSocket()
    whole = WholeSocket(wrapped)
    frames = [bytes([number]) * 1_000 for number in range(20)]
    threads = [threading.Thread(target=whole.send, args=(frame,)) for frame in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pieces = [wrapped.received[start : start + 1_000] for start in range(0, 20_000, 1_000)]
    assert sorted(pieces) == frames


def test_send_waits_for_a_slow_reader() -> None:
    here, there = socket.socketpair()
    received: list[bytes] = []

    def read() -> None:
        while data := there.recv(4_096):
            received.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with here:
        assert WholeSocket(here).send(b"x" * 1_000_000) == 1_000_000
    reader.join()
    there.close()
    assert b"".join(received) == b"x" * 1_000_000


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(1, MAX_QUEUED_PACKETS, id="many small packets"),
        pytest.param(MAX_QUEUED_BYTES // 10, 10, id="few large packets"),
    ],
)
def test_queue_ends_at_its_bound(size: int, expected: int) -> None:
    queue = BoundedQueue()
    for _ in range(MAX_QUEUED_PACKETS + 10):
        queue.put(Packet(MESSAGE, "x" * size))
    assert (queue.qsize(), queue.has_overflowed) == (expected, True)
    queue.put(None)  # which ends the writer, is always taken
    assert queue.qsize() == expected + 1
    queue.get()
    queue.put(Packet(MESSAGE, "behind one that was dropped"))
    assert queue.qsize() == expected
    queue.clear()
    queue.put(Packet(MESSAGE, "the last one"))
    assert (queue.qsize(), queue.has_overflowed, queue.get().data) == (1, False, "the last one")


def test_queue_takes_one_packet_above_its_bound_alone() -> None:
    queue = BoundedQueue()
    large = Packet(MESSAGE, "x" * (MAX_QUEUED_BYTES + 1))
    queue.put(large)
    assert (queue.qsize(), queue.has_overflowed) == (1, False)
    queue.put(Packet(MESSAGE, "x"))
    assert (queue.qsize(), queue.has_overflowed) == (1, True)
    queue.clear()
    queue.put(Packet(MESSAGE, "x"))
    queue.put(large)
    assert (queue.qsize(), queue.has_overflowed) == (1, True)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        pytest.param(None, True, id="no browser"),
        pytest.param("http://chat.example:8000", True, id="own"),
        pytest.param("https://app.example", True, id="allowed"),
        pytest.param("https://app.example.evil.example", False, id="longer"),
        pytest.param("https://chat.example", False, id="other port"),
        pytest.param("null", False, id="null"),
    ],
)
def test_pages_of_other_origins_do_not_connect(origin: str | None, expected: bool) -> None:
    assert is_allowed(origin, OWN, PATTERNS) is expected
    assert is_allowed(origin, OWN, ["*"])


HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, True, id="a handshake"),
        pytest.param({"HTTP_UPGRADE": "WebSocket"}, True, id="in another case"),
        pytest.param({"REQUEST_METHOD": "POST"}, False, id="another method"),
        pytest.param({"HTTP_UPGRADE": "h2c"}, False, id="another protocol"),
        pytest.param({"HTTP_CONNECTION": "close"}, False, id="no upgrade"),
        pytest.param({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, False, id="old version"),
        pytest.param({"HTTP_SEC_WEBSOCKET_KEY": ""}, False, id="no key"),
        pytest.param({"HTTP_SEC_WEBSOCKET_KEY": "x"}, False, id="short key"),
    ],
)
def test_handshakes_alone_reach_the_server(changes: dict[str, str], expected: bool) -> None:
    assert is_handshake({**HANDSHAKE, **changes}) is expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_those_of_the_protocol(size: int) -> None:
    text = "ü" + "x" * (size - 2) if size > 1 else "x" * size
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(encode_text(text))
    assert list(client.events()) == [TextMessage(data=text, frame_finished=True, message_finished=True)]


def test_frame_that_the_kernel_takes_a_part_of_is_sent_whole_before_the_next() -> None:
    here, there = gevent.socket.socketpair()
    whole = WholeSocket(here)
    large = b"a" * 1_000_000
    assert whole.send_at_once(b"first")
    assert whole.send_at_once(large)
    assert not whole.send_at_once(b"refused")  # while the rest waits
    sending = gevent.spawn(whole.send, b"next")
    received = b""
    while len(received) < 5 + len(large) + 4:
        received += there.recv(65_536)
    sending.join()
    assert received == b"first" + large + b"next"
    assert whole.send_at_once(b"last")
    here.close()
    assert not whole.send_at_once(b"closed")
    assert there.recv(65_536) == b"last"
    there.close()


def test_nothing_follows_the_part_of_a_frame() -> None:
    here, there = gevent.socket.socketpair()
    whole = WholeSocket(here)
    here.settimeout(0.1)
    assert whole.send_at_once(b"a" * 1_000_000)
    with pytest.raises(OSError):
        whole.send(b"next")
    received = b""
    while data := there.recv(65_536):
        received += data
    assert set(received) == set(b"a")
    assert len(received) < 1_000_000
    here.close()
    there.close()


class Sent:
    """A WebSocket with the texts that were sent at once; it takes none while it `is_full`."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_full = False

    def send_at_once(self, text: str) -> bool:
        if not self.is_full:
            self.texts.append(text)
        return not self.is_full


def test_packet_is_sent_at_once_only_where_none_is_before_it() -> None:
    queue = BoundedQueue()
    queue.websocket = sent = Sent()  # type: ignore[assignment]  # all of it that the queue needs
    queue.put(Packet(MESSAGE, "before the writer"))
    written: list[str] = []

    def write() -> None:
        while (packet := queue.get(timeout=5)) is not None:
            gevent.sleep(0)
            written.append(packet.encode())

    writer = gevent.spawn(write)
    gevent.sleep(0)
    queue.put(Packet(MESSAGE, "behind it"))  # the writer has the first in its hands
    while len(written) < 2:
        gevent.sleep(0)
    queue.put(Packet(MESSAGE, "at once"))
    queue.put(Packet(PING))  # a writer that gets nothing for long ends the connection
    sent.is_full = True
    queue.put(Packet(MESSAGE, "client takes nothing"))
    queue.put(None)
    writer.join()
    assert sent.texts == ["4at once"]
    assert written == ["4before the writer", "4behind it", "2", "4client takes nothing"]
