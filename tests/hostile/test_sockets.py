"""Attacks by the ten WebSockets of one user: events, large messages and unread answers stop no other user."""

import contextlib
import json
import statistics
import threading
from collections.abc import Callable, Iterator

import pytest
import websocket

from tests.hostile.attack import ATTACKER, BOUNDED, HEALTH_SECONDS, HONEST, Watch, connect
from tests.hostile.test_one_user import seconds_of_a_chat
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import Member, open_raw
from tests.support.waiting import let_pass

SOCKETS = 10  # what one user may have
CHANGES = 60
TEXT = "x" * 8_000
FRAMES_PER_SECOND = 180  # below what ends a socket
PAUSE = 1 / FRAMES_PER_SECOND
BATCHES = 3  # of chats, while the attack lasts
ENDED = (OSError, websocket.WebSocketException, AssertionError)  # a socket was closed, or was one too many

Attack = Callable[["Attacker"], None]


class Attacker:
    """One user with a room of long messages, until the attack is over."""

    def __init__(self, server: Server, member: Member) -> None:
        self.server = server
        self.member = member
        self.is_over = threading.Event()
        self.sent = 0  # packets and connections
        self.room_id = member.call("POST", "/api/rooms/", {"name": "Mallory's"})["id"]
        for number in range(CHANGES):
            member.call("POST", f"/api/rooms/{self.room_id}/messages/", {"text": f"{number} {TEXT}"})

    @contextlib.contextmanager
    def open(self, receive_buffer: int | None = None) -> Iterator[websocket.WebSocket]:
        """Open a WebSocket from the attacker's address."""
        connection = connect(self.server, ATTACKER, receive_buffer)
        with open_raw(self.server, self.member.token, "/rooms", socket=connection) as raw:
            yield raw

    def event(self, name: str, number: int = 0, **data: object) -> str:
        """Return the packet of an event in the room, to be acknowledged by its number."""
        return f"42/rooms,{number}" + json.dumps([name, {"room_id": self.room_id, **data}])


def send_many_events(attacker: Attacker) -> None:
    with attacker.open() as raw:
        raw.settimeout(0.001)
        while not attacker.is_over.wait(PAUSE):
            raw.send(attacker.event("typing"))
            attacker.sent += 1
            with contextlib.suppress(TimeoutError, websocket.WebSocketTimeoutException):
                raw.recv()


def send_large_messages(attacker: Attacker) -> None:
    with attacker.open() as raw:
        packet = attacker.event("message", text="x" * 900_000)  # refused: too long
        while not attacker.is_over.is_set():
            raw.send(packet)
            attacker.sent += 1
            raw.recv()


def ask_for_pages_and_read_nothing(attacker: Attacker) -> None:
    with attacker.open(receive_buffer=4_096) as raw:
        raw.settimeout(0.2)
        while not attacker.is_over.wait(PAUSE):
            raw.send(attacker.event("join", since_rev=0))
            attacker.sent += 1


def open_and_close(attacker: Attacker) -> None:
    while not attacker.is_over.is_set():
        with attacker.open():
            attacker.sent += 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    upstream = Upstream("--first", "0.2", "--interval", "0.02", "--tokens", "20")
    settings = {**BOUNDED, "RATE_CHAT_USER": "10000 per minute", "RATE_ROOM_MESSAGE_USER": "1000 per minute"}
    folder = tmp_path_factory.mktemp("sockets")
    with running(folder, OPENAI_BASE_URL=upstream.url, **settings) as started:
        yield started
    upstream.stop()


@pytest.fixture
def mallory(server: Server) -> Attacker:
    return Attacker(server, Member(server, "mallory"))  # a new user: the sockets of the last attack may be open yet


@pytest.fixture(scope="module")
def honest(server: Server) -> Member:
    return Member(server, "honest")


@pytest.mark.parametrize(
    "attack", [send_many_events, send_large_messages, ask_for_pages_and_read_nothing, open_and_close]
)
def test_ten_sockets_of_one_user_hold_up_nobody(
    server: Server, mallory: Attacker, honest: Member, attack: Attack
) -> None:
    def attack_until_over() -> None:
        while not mallory.is_over.is_set():
            with contextlib.suppress(*ENDED):
                attack(mallory)
            let_pass(PAUSE)

    mallory.is_over.clear()
    mallory.sent = 0
    room_id = honest.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    threads = [threading.Thread(target=attack_until_over) for _ in range(SOCKETS)]
    with honest.connect() as client:
        client.call("join", room_id=room_id)
        quiet = statistics.median(seconds_of_a_chat(server, honest.token) for _ in range(3))
        with Watch(server) as watch:
            for thread in threads:
                thread.start()
            busy = []
            for number in range(BATCHES):
                busy.append(seconds_of_a_chat(server, honest.token))
                assert client.call("message", room_id=room_id, text=str(number))["text"] == str(number)
            mallory.is_over.set()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert mallory.sent > SOCKETS, "the attack did not take place"
    assert statistics.median(busy) <= 1.5 * quiet
    assert watch.slowest < HEALTH_SECONDS
    assert server.call("GET", "/healthz", source=HONEST)[0] == 200
