"""Requests of different addresses start in turn."""

import gevent
from flask import Flask
from flask.testing import FlaskClient

from chatbot.web.fair_starts import FairStarts, RoundRobinGate, take_turn
from tests.support.waiting import let_pass

ALL_ARE_LONG = -1.0


def test_each_key_enters_once_in_a_round() -> None:
    gate = RoundRobinGate(ALL_ARE_LONG)
    entered = list[str]()

    def enter(key: str) -> None:
        gate.enter(key)
        entered.append(key)

    started = [gevent.spawn(enter, key) for key in "aaaab"]
    started.append(gevent.spawn(enter, "c"))
    gevent.joinall(started, timeout=5, raise_error=True)
    assert "".join(entered) == "abcaaa"
    gevent.spawn(gate.enter, "a").get(timeout=5)  # nothing waits any more


def test_one_connection_that_never_waits_lets_others_in() -> None:
    gate = RoundRobinGate(ALL_ARE_LONG)
    entered = list[str]()

    def pipeline() -> None:
        for _ in range(50):
            gate.enter("attacker")
            entered.append("attacker")

    def come_later() -> None:
        gevent.sleep(0)
        gate.enter("honest")
        entered.append("honest")

    gevent.joinall([gevent.spawn(pipeline), gevent.spawn(come_later)], timeout=5, raise_error=True)
    assert entered.index("honest") <= 3


def test_nobody_waits_in_a_short_round() -> None:
    gate = RoundRobinGate()
    entered = list[str]()

    def enter_often() -> None:
        for _ in range(5):
            gate.enter("a")
            entered.append("a")
        gevent.sleep(0)
        let_pass(0.06)
        for _ in range(3):
            gate.enter("a")
            entered.append("late")

    def note() -> None:
        entered.append("other")

    gevent.joinall([gevent.spawn(enter_often), gevent.spawn(note)], timeout=5, raise_error=True)
    assert entered[:6] == ["a"] * 5 + ["other"]
    assert entered[6:] == ["late"] * 3


def test_costly_work_of_a_key_starts_once_in_a_short_round_too() -> None:
    """Eight large bodies that came in one moment were parsed in one round: .3 s for the request behind them."""
    gate = RoundRobinGate()
    entered: list[str] = []

    def parse() -> None:
        gate.enter("attacker", is_costly=True)
        entered.append("attacker")

    def come_later() -> None:
        gevent.sleep(0)
        entered.append("honest")

    started = [gevent.spawn(parse) for _ in range(5)]
    gevent.joinall([*started, gevent.spawn(come_later)], timeout=5, raise_error=True)
    assert entered.index("honest") <= 2


def test_waiting_greenlet_that_is_killed_holds_up_nobody() -> None:
    gate = RoundRobinGate(ALL_ARE_LONG)
    entered = list[str]()

    def enter(key: str) -> None:
        gate.enter(key)
        entered.append(key)

    first, killed, last = (gevent.spawn(enter, "a") for _ in range(3))
    gevent.sleep(0)
    killed.kill()
    gevent.joinall([first, last], timeout=5, raise_error=True)
    assert entered == ["a", "a"]


def test_other_servers_are_let_alone(app: Flask, client: FlaskClient) -> None:
    """The gate belongs to gevent's loop."""
    assert client.get("/healthz").status_code == 200
    application = FairStarts(lambda environ, _start: [str(sorted(environ)).encode()])
    assert application({}, None) == [b"[]"]
    take_turn({})
    with_gevent = application({"gunicorn.socket": None, "REMOTE_ADDR": "10.0.0.1"}, None)
    assert with_gevent == [b"['REMOTE_ADDR', 'chatbot.take_turn', 'gunicorn.socket']"]
