"""Rooms over WebSocket: python-socketio's client and a real server."""

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
import websocket

from tests.support.databases import SECRETS
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import SocketClient
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a server with secrets that the tests know."""
    folder = tmp_path_factory.mktemp("sockets")
    with running(folder, OPENAI_BASE_URL=upstream.url, **SECRETS) as one:
        yield one


class Member:
    """A user of a server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = f"{name}{uuid4().hex[:8]}"
        self.token = server.sign_in(self.name)
        self.id: str = server.call("GET", "/api/users/me/", None, self.token)[2]["id"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request and return the JSON of its answer."""
        return self.server.call(method, path, body, self.token)[2]

    def connect(self) -> SocketClient:
        """Open a socket."""
        client = SocketClient(self.server, self.token)
        assert client.refusal is None, client.refusal
        return client


@pytest.fixture
def ada(server: Server) -> Member:
    return Member(server, "ada")


@pytest.fixture
def eve(server: Server) -> Member:
    return Member(server, "eve")


@pytest.fixture
def room_id(ada: Member, eve: Member) -> str:
    """Return a room of Ada's with Eve as a member."""
    made: str = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    ada.call("PUT", f"/api/rooms/{made}/members/{eve.id}/", {"role": "member"})
    return made


def sign(token: str, **changes: Any) -> str:
    """Return an access token with other claims."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, SECRETS["JWT_SECRET_KEY"], "HS256")


@contextlib.contextmanager
def open_raw(server: Server, token: str | None = None, **options: Any) -> Iterator[websocket.WebSocket]:
    """Open a WebSocket that speaks engine.io by hand, in the namespace where there is a token."""
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    raw = websocket.create_connection(url, timeout=20, **options)
    try:
        raw.recv()
        if token is not None:
            raw.send("40/rooms," + json.dumps({"token": token}))
            assert raw.recv().startswith("40/rooms")
        yield raw
    finally:
        raw.shutdown()


def read_all(raw: websocket.WebSocket) -> list[str]:
    """Return the packets that come until the server closes the socket."""
    packets: list[str] = []
    with contextlib.suppress(websocket.WebSocketException, OSError):
        while packet := raw.recv():
            packets.append(packet)
    return packets


def test_members_hear_of_each_message_and_change_once(ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, eve.connect() as mine:
        joined = hers.call("join", room_id=room_id)
        assert (joined["room"]["id"], joined["room"]["role"], joined["changes"]) == (room_id, "owner", [])
        assert (joined["rev"], joined["complete"]) == (3, True)
        caught_up = mine.call("join", room_id=room_id, since_rev=0)["changes"]
        assert [one["data"]["text"] for one in caught_up if one["type"] == "message"] == [f"{eve.name} was added."]
        sent = hers.call("message", room_id=room_id, text=f"Hi @{eve.name}", client_id="1")
        assert sent == hers.call("message", room_id=room_id, text=f"Hi @{eve.name}", client_id="1")
        assert sent["mentions"] == [eve.id]
        wait_for(lambda: hers.events and mine.events)
        assert hers.events == mine.events == [("message", sent)]
        eve.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "by REST"})
        ada.call("PATCH", f"/api/rooms/{room_id}/messages/{sent['id']}/", {"text": "Hello"})
        ada.call("PATCH", f"/api/rooms/{room_id}/", {"topic": "Frogs"})
        wait_for(lambda: len(hers.events) == len(mine.events) == 4)
        assert hers.events == mine.events
        assert mine.names()[1:] == ["message", "changed", "changed"]
        edited, renamed = (data for _, data in mine.events[2:])
        assert (edited["room_id"], edited["data"]["text"], edited["rev"]) == (room_id, "Hello", 6)
        assert (renamed["type"], renamed["data"]["topic"]) == ("room", "Frogs")
        assert hers.call("read", room_id=room_id, seq=3) == {}
        assert ada.call("GET", f"/api/rooms/{room_id}/")["read_seq"] == 3
        assert mine.call("leave", room_id=room_id) == {}
        hers.call("message", room_id=room_id, text="alone")
        wait_for(lambda: hers.texts()[-1] == "alone")
        assert "alone" not in mine.texts()


def test_client_that_was_away_gets_what_it_missed(ada: Member, eve: Member, room_id: str) -> None:
    with eve.connect() as mine:
        rev = mine.call("join", room_id=room_id)["rev"]
    for number in range(3):
        ada.call("POST", f"/api/rooms/{room_id}/messages/", {"text": str(number)})
    with eve.connect() as mine:
        joined = mine.call("join", room_id=room_id, since_rev=rev)
        assert [one["data"]["text"] for one in joined["changes"]] == ["0", "1", "2"]
        assert joined["complete"]
        assert mine.call("join", room_id=room_id, since_rev=99)["code"] == "cursor_expired"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(None, "unauthenticated", id="none"),
        pytest.param("x.y.z", "unauthenticated", id="no token"),
        pytest.param({"$ne": ""}, "unauthenticated", id="no text"),
        pytest.param("ck_" + "a" * 46, "unauthenticated", id="unknown API key"),
    ],
)
def test_socket_without_a_caller_is_refused(server: Server, token: Any, code: str) -> None:
    with SocketClient(server, token) as client:
        assert client.refusal["message"] == code
        assert client.refusal["data"]["status"] == 401


def test_api_key_needs_the_scope(server: Server, ada: Member, room_id: str) -> None:
    keys = [ada.call("POST", "/api/users/api-keys/", {"name": one, "scopes": [one]}) for one in ("chat", "rooms")]
    with SocketClient(server, keys[0]["secret"]) as client:
        assert client.refusal["message"] == "scope_missing"
    with SocketClient(server, keys[1]["secret"]) as client:
        assert client.call("join", room_id=room_id)["room"]["id"] == room_id
        ada.call("DELETE", f"/api/users/api-keys/{keys[1]['id']}/")
        wait_for(lambda: not client.is_connected)
        assert client.events[-1] == ("closing", {"code": "unauthenticated", "reconnect": False, "after": 0.0})


def test_page_of_a_foreign_origin_is_refused(server: Server, ada: Member) -> None:
    url = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(url, origin="https://evil.example")
    assert refused.value.status_code == 400
    websocket.create_connection(url, origin=f"http://127.0.0.1:{server.port}").close()


def test_long_polling_is_refused(server: Server) -> None:
    assert server.call("GET", "/socket.io/?EIO=4&transport=polling")[0] == 400


def test_bad_events_have_their_problem_and_the_socket_lives_on(ada: Member, eve: Member, room_id: str) -> None:
    foreign = ada.call("POST", "/api/rooms/", {"name": "Hers"})["id"]
    with eve.connect() as client:
        answers = [client.call("join", room_id=one) for one in (foreign, str(uuid4()))]
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "not_found"
        writes = [client.call("message", room_id=one, text="x") for one in (foreign, str(uuid4()))]
        assert writes[0] == writes[1]
        assert client.call("message", room_id=room_id, text="x" * 32_001)["errors"].keys() == {"text"}
        forged = client.call("message", room_id=room_id, text="x", author={"id": ada.id})
        assert (forged["code"], list(forged["errors"])) == ("validation_failed", ["author"])
        assert client.call("message", room_id=room_id, text="a\0b")["code"] == "malformed_body"
        assert client.call("nonsense")["errors"].keys() == {"event"}
        assert client.call("join")["errors"].keys() == {"room_id"}
        assert client.call("message", room_id=room_id, text="still here")["author"]["id"] == eve.id


def test_removed_member_hears_it_and_nothing_after(ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, eve.connect() as mine:
        hers.call("join", room_id=room_id)
        mine.call("join", room_id=room_id)
        removed_at = time.monotonic()
        ada.call("DELETE", f"/api/rooms/{room_id}/members/{eve.id}/")
        wait_for(lambda: mine.names() == ["removed"])
        assert time.monotonic() - removed_at < 1
        hers.call("message", room_id=room_id, text="a canary")
        wait_for(lambda: "a canary" in hers.texts())
        assert mine.events == [("removed", {"room_id": room_id})]
        assert mine.is_connected
        ada.call("DELETE", f"/api/rooms/{room_id}/")
        wait_for(lambda: hers.names()[-1] == "removed")


def test_member_hears_of_no_change_from_before_they_joined(server: Server, ada: Member) -> None:
    room = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    early = ada.call("POST", f"/api/rooms/{room}/messages/", {"text": "early"})["id"]
    bob = Member(server, "bob")
    ada.call("PUT", f"/api/rooms/{room}/members/{bob.id}/", {"role": "reader"})
    with bob.connect() as client:
        client.call("join", room_id=room)
        ada.call("PATCH", f"/api/rooms/{room}/messages/{early}/", {"text": "an early canary"})
        ada.call("POST", f"/api/rooms/{room}/messages/", {"text": "late"})
        wait_for(lambda: client.texts() == ["late"])
        assert "canary" not in json.dumps(client.events)
        assert client.call("message", room_id=room, text="x")["code"] == "forbidden"


def test_socket_ends_with_its_session(eve: Member) -> None:
    with eve.connect() as client:
        ended_at = time.monotonic()
        eve.call("POST", "/api/users/logout/")
        wait_for(lambda: client.names() == ["closing"])
        assert time.monotonic() - ended_at < 1
        wait_for(lambda: not client.is_connected)


def test_socket_ends_with_its_token_unless_it_is_renewed(server: Server, ada: Member, eve: Member) -> None:
    ends = int(time.time()) + 3
    with (
        SocketClient(server, sign(ada.token, exp=ends)) as hers,
        SocketClient(server, sign(eve.token, exp=ends)) as mine,
    ):
        assert mine.call("token", token=ada.token)["code"] == "unauthenticated"
        assert mine.call("token", token=eve.token) == {}
        wait_for(lambda: hers.names() == ["closing"])
        assert hers.events[0][1] == {"code": "token_expired", "reconnect": True, "after": 0.0}
        assert ends <= time.time() < ends + 1.5
        wait_for(lambda: not hers.is_connected)
        assert mine.is_connected


def test_large_frame_ends_its_socket_alone(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, eve.connect() as mine, open_raw(server, ada.token) as raw:
        mine.call("join", room_id=room_id)
        with contextlib.suppress(OSError):
            raw.send("42/rooms," + json.dumps(["message", {"room_id": room_id, "text": "x" * 2_000_000}]))
        read_all(raw)
        hers.call("message", room_id=room_id, text="others go on")
        wait_for(lambda: mine.texts() == ["others go on"])


@pytest.mark.parametrize("packet", ["4zz", "6", '42/rooms,["typo"]'], ids=["no packet", "noop", "unknown event"])
def test_flood_ends_its_socket_and_holds_up_nobody(server: Server, ada: Member, packet: str) -> None:
    with open_raw(server, ada.token) as flooding:
        started_at = time.monotonic()
        with contextlib.suppress(OSError, websocket.WebSocketException):
            for _ in range(20_000):
                flooding.send(packet)
        assert server.call("GET", "/healthz")[0] == 200
        read_all(flooding)
        assert time.monotonic() - started_at < 5
    assert "Traceback" not in server.log()


def test_events_are_limited_as_requests_are(tmp_path: Path, upstream: Upstream) -> None:
    limits = {"RATELIMIT_ENABLED": "true", "RATE_READ_USER": "30 per minute"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **limits) as one:
        ada = Member(one, "ada")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        with ada.connect() as client:
            sent = [client.call("message", room_id=room_id, text=str(number)) for number in range(11)]
            assert [one.get("code") for one in sent] == [None] * 10 + ["rate_limited"]
            joined = [client.call("join", room_id=room_id) for _ in range(30)]
            assert joined[0]["complete"]
            assert joined[-1]["code"] == "rate_limited"


@pytest.mark.parametrize("packet", ["41/rooms,", '42/rooms,["disconnect", "x"]'], ids=["packet", "forged event"])
def test_socket_that_leaves_the_namespace_ends(server: Server, ada: Member, packet: str) -> None:
    with open_raw(server, ada.token) as leaving:
        left_at = time.monotonic()
        leaving.send(packet)
        read_all(leaving)
    assert time.monotonic() - left_at < 3


def test_slow_reader_is_closed_and_holds_up_nobody(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    small = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096),)
    with open_raw(server, eve.token, sockopt=small) as slow, ada.connect() as hers, eve.connect() as mine:
        slow.send("42/rooms," + json.dumps(["join", {"room_id": room_id}]))
        mine.call("join", room_id=room_id)
        for number in range(140):
            hers.call("message", room_id=room_id, text=f"{number} " + "x" * 30_000)
        wait_for(lambda: len(mine.texts()) == 140)
        assert [text.split()[0] for text in mine.texts()] == [str(number) for number in range(140)]
        heard = read_all(slow)
        assert any("slow_consumer" in packet for packet in heard[-3:]), [packet[:80] for packet in heard]
        assert len(heard) < 100


def test_socket_that_joins_no_namespace_is_closed(server: Server) -> None:
    opened_at = time.monotonic()
    with open_raw(server) as silent:
        assert read_all(silent) == []
    assert 9 < time.monotonic() - opened_at < 13


def test_worker_that_ends_sends_its_clients_elsewhere(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one, Member(one, "ada").connect() as client:
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: client.names() == ["closing"])
        event = client.events[0][1]
        assert (event["code"], event["reconnect"]) == ("draining", True)
        assert 0 <= event["after"] <= 3
        wait_for(lambda: not client.is_connected)
