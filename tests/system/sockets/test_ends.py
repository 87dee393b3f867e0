"""The ends of sockets: floods, large frames, slow readers, workers that end."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
import websocket

from chatbot.sockets.connections import MAX_SOCKETS_PER_USER
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import NAMESPACES, Member, open_raw, read_all, read_close_code
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

NOT_TAKEN = 1003  # closing codes (RFC 6455, 7.4.1)
AGAINST_THE_RULES = 1008
TOO_BIG = 1009


def test_large_frame_ends_its_socket_alone(
    server: Server, namespace: str, ada: Member, eve: Member, room_id: str
) -> None:
    with ada.connect() as hers, eve.connect() as mine, open_raw(server, ada.token, namespace) as raw:
        mine.call("join", room_id=room_id)
        with contextlib.suppress(OSError):
            raw.send(f"42{namespace}," + json.dumps(["message", {"room_id": room_id, "text": "x" * 2_000_000}]))
        assert read_close_code(raw) == TOO_BIG
        hers.call("message", room_id=room_id, text="others go on")
        wait_for(lambda: mine.texts() == ["others go on"])


@pytest.mark.parametrize(
    "packet",
    ["4zz", "6", '42/rooms,["typo"]', '42/chat,["typo"]'],
    ids=["no packet", "noop", "unknown event", "unknown event in chat"],
)
def test_flood_ends_its_socket_and_holds_up_nobody(server: Server, ada: Member, packet: str) -> None:
    with open_raw(server, ada.token, *NAMESPACES) as flooding:
        started_at = time.monotonic()
        with contextlib.suppress(OSError, websocket.WebSocketException):
            for _ in range(20_000):
                flooding.send(packet)
        assert server.call("GET", "/healthz")[0] == 200
        assert read_close_code(flooding) == AGAINST_THE_RULES
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
        with ada.connect("/chat") as client:
            assert client.call("cancel", turn_id=room_id)["code"] == "rate_limited"  # one count of all events


@pytest.mark.parametrize("packet", ["41{},", '42{},["disconnect", "x"]'], ids=["packet", "forged event"])
def test_socket_that_leaves_the_namespace_ends(server: Server, namespace: str, ada: Member, packet: str) -> None:
    with open_raw(server, ada.token, namespace) as leaving:
        left_at = time.monotonic()
        leaving.send(packet.format(namespace))
        read_all(leaving)
    assert time.monotonic() - left_at < 3


def test_slow_reader_is_closed_and_holds_up_nobody(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    small = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096),)
    with open_raw(server, eve.token, sockopt=small) as slow, ada.connect() as hers, eve.connect() as mine:
        slow.send("42/rooms," + json.dumps(["join", {"room_id": room_id}]))
        mine.call("join", room_id=room_id)
        for number in range(60):  # 1.8 MB; its end has 10 s
            hers.call("message", room_id=room_id, text=f"{number} " + "x" * 30_000)
        wait_for(lambda: len(mine.texts()) == 60)
        assert [text.split()[0] for text in mine.texts()] == [str(number) for number in range(60)]
        heard = read_all(slow)
        assert any("slow_consumer" in packet for packet in heard[-3:]), [packet[:80] for packet in heard]
        assert len(heard) < 60


def test_no_more_is_read_than_can_be_handled(tmp_path: Path, upstream: Upstream) -> None:
    """Without a bound a socket of 900 KB messages that were refused took 150 MB in a second."""
    limits = {"RATELIMIT_ENABLED": "true", "RATE_READ_USER": "30 per minute"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **limits) as one:
        ada = Member(one, "ada")
        worker = psutil.Process(one.workers()[0])
        packet = '42/rooms,["message",{"text":"' + "x" * 900_000 + '"}]'
        with open_raw(one, ada.token) as raw:
            raw.settimeout(1)
            before = worker.memory_info().rss
            started_at = time.monotonic()
            sent = 0
            with contextlib.suppress(OSError, websocket.WebSocketException):
                while (passed := time.monotonic() - started_at) < 4 or (sent <= 30 and passed < 20):
                    raw.send(packet)
                    sent += 1
            grown = worker.memory_info().rss - before
        assert one.call("GET", "/healthz")[0] == 200
        assert sent > 30, "the socket was closed, not read slowly"
        assert grown < 40_000_000


def test_socket_that_joins_no_namespace_is_closed(server: Server) -> None:
    opened_at = time.monotonic()
    with open_raw(server) as silent:
        assert read_all(silent) == []
    assert 9 < time.monotonic() - opened_at < 13


def test_worker_that_ends_sends_its_clients_elsewhere(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one:
        ada = Member(one, "ada")
        with ada.connect() as client, ada.connect("/chat") as other, open_raw(one, ada.token, *NAMESPACES) as both:
            one.process.send_signal(signal.SIGTERM)
            wait_for(lambda: client.names() == other.names() == ["closing"])
            for _, event in client.events + other.events:
                assert (event["code"], event["reconnect"]) == ("draining", True)
                assert 0 <= event["after"] <= 3
            wait_for(lambda: not (client.is_connected or other.is_connected))
            assert [packet[:20] for packet in read_all(both)] == ['42/rooms,["closing",', '42/chat,["closing",{']


def test_worker_that_ends_takes_no_sockets_and_waits_for_none(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one, Member(one, "ada").connect() as client:
        (worker,) = one.workers()
        ada = Member(one, "ada")
        one.call("POST", "/api/chat/", {"message": "[[slow 4]] hello"}, ada.token, headers={"Prefer": "respond-async"})
        os.kill(worker, signal.SIGTERM)
        wait_for(lambda: client.names() == ["closing"])
        ended_at = time.monotonic()
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(f"ws://127.0.0.1:{one.port}/socket.io/?EIO=4&transport=websocket")
        assert refused.value.status_code == 503
        assert refused.value.resp_headers["retry-after"] == "1"
        wait_for(lambda: worker not in one.workers())
        assert time.monotonic() - ended_at < 15
        wait_for(one.is_ready)
        with ada.connect():
            pass


def test_socket_that_joins_a_namespace_of_a_worker_that_ends_is_sent_elsewhere(
    tmp_path: Path, upstream: Upstream, namespace: str
) -> None:
    """Its worker waited for it until the end of its grace, and no other took its place."""
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one:
        ada = Member(one, "ada")
        with open_raw(one) as raw:
            one.process.send_signal(signal.SIGTERM)
            wait_for(one.refuses)
            raw.send(f"40{namespace}," + json.dumps({"token": ada.token}))
            assert any("draining" in packet for packet in read_all(raw))
        one.process.wait(10)


def test_binary_packets_end_their_socket(server: Server, namespace: str, ada: Member) -> None:
    with open_raw(server, ada.token, namespace) as raw:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            raw.send(f'451000000000-{namespace},["message",{{"_placeholder":true,"num":0}}]')
            raw.send_binary(b"x" * 100_000)
        assert read_close_code(raw) == NOT_TAKEN
    with open_raw(server, ada.token) as raw:
        raw.send_binary(b"x")
        assert read_close_code(raw) == NOT_TAKEN


def test_socket_that_is_being_closed_takes_no_other_caller(server: Server, ada: Member, eve: Member) -> None:
    leaving = Member(server, "leaving")
    with open_raw(server, leaving.token) as raw:
        leaving.call("POST", "/api/users/logout/")
        assert "closing" in raw.recv()
        raw.send("40/chat," + json.dumps({"token": eve.token}))
        assert '"code":"busy"' in raw.recv()
        assert read_close_code(raw) == 1000


@pytest.mark.parametrize("packet", ["", "x", "b4!", "0", "5", "45-", "4\u096b1-/rooms,[]", "\u096a2/rooms,[]"])
def test_what_is_no_packet_ends_its_socket_and_leaves_nothing(server: Server, packet: str) -> None:
    """Ten sockets with "x" kept their user out until the server was started again, as present in their rooms."""
    mallory = Member(server, "mallory")
    for _ in range(MAX_SOCKETS_PER_USER):
        with open_raw(server, mallory.token) as raw:
            raw.send(packet)
            assert read_close_code(raw) == NOT_TAKEN
    wait_for(lambda: can_connect(mallory))


def can_connect(member: Member) -> bool:
    with contextlib.suppress(AssertionError), member.connect():
        return True
    return False


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Upgrade": "websocket", "Connection": "close"}, id="no upgrade"),
        pytest.param({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, id="no key"),
    ],
)
def test_half_a_handshake_is_400(server: Server, headers: dict[str, str]) -> None:
    path = "/socket.io/?EIO=4&transport=websocket"
    status, received, problem = server.call("GET", path, headers=headers)
    assert (status, problem["code"]) == (400, "bad_request")
    assert received["content-type"] == "application/problem+json"


def test_forged_connect_event_changes_no_caller_of_chat(server: Server, ada: Member, eve: Member) -> None:
    turn_id = ada.call("POST", "/api/chat/", {"message": "a canary"})["id"]
    with open_raw(server, eve.token, "/chat") as raw:
        raw.send("42/chat," + json.dumps(["connect", {}, {"token": ada.token}]))
        raw.send("42/chat,7" + json.dumps(["follow", {"turn_id": turn_id}]))
        answer = raw.recv()
    assert answer.startswith("43/chat,7")
    assert "not_found" in answer


def test_forged_connect_event_changes_no_caller(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with open_raw(server, eve.token) as raw:
        raw.send("42/rooms," + json.dumps(["connect", {}, {"token": ada.token}]))
        raw.send("42/rooms," + json.dumps(["message", {"room_id": room_id, "text": "hers?"}]))
        wait_for(lambda: len(eve.call("GET", f"/api/rooms/{room_id}/messages/")["items"]) == 2)
    message = eve.call("GET", f"/api/rooms/{room_id}/messages/")["items"][-1]
    assert message["author"]["id"] == eve.id
