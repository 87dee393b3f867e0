"""The networks that clients are counted by, and answers in pieces."""

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from chatbot.web import networks
from chatbot.worker import connections
from chatbot.worker.connections import SEND_BYTES, BoundedWorker, YieldingSocket


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.1.2.3", {"10.1.2.3": 1}),
        ("10.1.2.3:5000", {"10.1.2.3": 1}),
        ("::ffff:10.1.2.3", {"10.1.2.3": 1}),
        ("2001:db8:1:2:3::4", {"2001:db8:1:2::/64": 1, "2001:db8:1::/56": 4, "2001:db8:1::/48": 16}),
        ("[2001:db8:1:2:3::4]:5000", {"2001:db8:1:2::/64": 1, "2001:db8:1::/56": 4, "2001:db8:1::/48": 16}),
        ("fe80::1%eth0", {"fe80::/64": 1, "fe80::/56": 4, "fe80::/48": 16}),
        ("", {}),
        ("no address", {}),
    ],
)
def test_networks_of_an_address(written: str, expected: dict[str, int]) -> None:
    assert networks.factors(written) == expected


@pytest.mark.parametrize(
    ("bound", "factor", "expected"),
    [(512, 1, 512), (512, 4, 2048), (512, 16, 2048), (3000, 4, 3000), (10, 16, 160), (None, 16, float("inf"))],
)
def test_network_has_half_of_a_workers_connections_at_most(bound: int | None, factor: int, expected: float) -> None:
    worker = BoundedWorker.__new__(BoundedWorker)
    worker.connections_per_address = bound
    worker.worker_connections = 4096
    assert worker.find_bound(factor) == expected


def test_answers_are_sent_in_pieces_with_a_deadline_each() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def settimeout(self, seconds: float | None) -> None: ...

        def sendall(self, data: bytes) -> None:
            self.sent.append(data)

    recorder: Any = Recorder()
    YieldingSocket(recorder).sendall(b"a" * SEND_BYTES + b"b" * SEND_BYTES + b"c")
    YieldingSocket(recorder).sendall(b"d" * SEND_BYTES)
    assert recorder.sent == [b"a" * SEND_BYTES, b"b" * SEND_BYTES, b"c", b"d" * SEND_BYTES]


class Drip:
    """A body of which one more byte always comes."""

    reader = None

    def read(self, size: int) -> bytes:
        for _ in range(size):
            gevent.sleep(0.05)
        return b"x" * size


def test_rest_of_a_body_is_read_for_a_second_in_all() -> None:
    started = time.monotonic()
    assert not connections.is_drained(Drip())
    assert time.monotonic() - started < 3


def test_body_that_was_read_needs_no_look() -> None:
    body: Any = SimpleNamespace(reader=SimpleNamespace(length=0))
    assert connections.is_drained(body)
