"""The networks that clients are counted by, and answers in pieces."""

import pytest

from chatbot.web import networks
from chatbot.web.deadlines import PIECE, AnswersInPieces
from chatbot.worker.connections import BoundedWorker


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
    worker.connections_per_address, worker.worker_connections = bound, 4096
    assert worker._bound(factor) == expected


def test_answers_come_in_pieces_and_are_closed() -> None:
    class Answer(list[bytes]):
        closed = False

        def close(self) -> None:
            self.closed = True

    answer = Answer([b"a" * PIECE, b"b" * (PIECE + 1), b"c"])
    pieces = AnswersInPieces(lambda _environ, _start: answer)({}, None)
    assert list(pieces) == [b"a" * PIECE, b"b" * PIECE, b"b", b"c"]
    pieces.close()  # type: ignore[attr-defined]  # as servers do where there is one (PEP 3333)
    assert answer.closed
