"""Chunks taken apart by hand: whole, in any pieces, and never more or less than was said."""

import http.client
import socket
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.rag.http.reader import SocketReader, read_chunked_body


def read(*packets: bytes) -> bytes:
    """Send packets and return the content of the chunks in them."""
    left, right = socket.socketpair()

    def send() -> None:
        for packet in packets:
            left.sendall(packet)
        left.close()

    sender = threading.Thread(target=send)
    sender.start()
    with right:
        reader = SocketReader(right)
        try:
            return b"".join(read_chunked_body(reader))
        finally:
            reader.close()
            sender.join(5)


def chunk(data: bytes) -> bytes:
    return b"%x;ext=1\r\n%s\r\n" % (len(data), data)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 300), max_size=10))
def test_any_chunks_in_any_packets_carry_the_same(parts: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(map(chunk, parts)) + b"0\r\nX-Trailer: a\r\n\r\n"
    at = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    assert read(*(wire[start:end] for start, end in pairwise(at))) == b"".join(parts)


@pytest.mark.parametrize(
    "wire",
    [b"5\r\nhello", b"5\r\nhel", b"5\r\nhello world\r\n0\r\n\r\n", b"0x5\r\nhello\r\n", b"\r\n", b"g\r\n", b"-1\r\n",
     b"5" * 2000, b"fffffffff\r\n", b"0\r\n" + b"a: b\r\n" * 200, b""],
)  # fmt: skip
def test_what_is_cut_longer_than_said_or_none_is_an_error(wire: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        read(wire)
