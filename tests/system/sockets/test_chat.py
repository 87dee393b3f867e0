"""Personal chat over WebSocket: python-socketio's client and a real server."""

import json
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.processes import Server, Upstream, running
from tests.support.sockets import Member, open_raw, read_all
from tests.support.waiting import let_pass, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.measured]

SLOW = "[[slow 3]] hello"  # "Half an answer", 3 s of silence, " at last"
WHOLE = "Half an answer at last"
OPENED = {"pending", "streaming", "completed"}


def test_sender_follows_the_answer(ada: Member) -> None:
    with ada.connect("/chat") as client:
        turn = client.call("send", message="Grüße an 😀 alle")
        assert (turn["user_message"], turn["status"] in OPENED) == ("Grüße an 😀 alle", True)
        name, ended = client.wait_for_end(turn["id"])
        assert (name, ended["status"], ended["citations"]) == ("done", "completed", [])
        assert ended == ada.call("GET", f"/api/chat/{turn['id']}/")
        wait_for(lambda: client.read_answer(turn["id"]) == ended["bot_response"])
        more = client.call("send", message="And more", conversation_id=turn["conversation_id"], temperature=0.5)
        assert more["conversation_id"] == turn["conversation_id"]
        assert client.wait_for_end(more["id"])[0] == "done"


def test_turn_is_followed_from_any_offset_on_another_socket(ada: Member) -> None:
    with ada.connect("/chat") as first, ada.connect("/chat") as second:
        turn_id = first.call("send", message=SLOW)["id"]
        wait_for(lambda: first.read_answer(turn_id) == "Half an answer")
        assert second.call("follow", turn_id=turn_id, offset=5) == {}
        wait_for(lambda: second.read_answer(turn_id, 5) == "an answer")
        ends = [client.wait_for_end(turn_id) for client in (first, second)]
        assert ends[0] == ends[1]
        assert ends[0][1]["bot_response"] == first.read_answer(turn_id) == WHOLE
        assert second.read_answer(turn_id, 5) == WHOLE[5:]
        for offset in (0, 7, len(WHOLE), len(WHOLE) + 5):
            second.events.clear()
            assert second.call("follow", turn_id=turn_id, offset=offset) == {}
            assert second.wait_for_end(turn_id) == ends[0]
            wait_for(lambda at=offset: second.read_answer(turn_id, at) == WHOLE[at:])


def test_budget_that_is_set_later_bounds_an_open_socket(server: Server, ada: Member) -> None:
    root = Member(server, "root")
    server.flask("users", "promote", f"{root.name}@example.org")
    with ada.connect("/chat") as client:
        first = client.call("send", message="Hi")
        client.wait_for_end(first["id"])
        limits = [{"metric": "turns", "window": "day", "limit": 0}]
        wait_for(lambda: "id" in root.call("PATCH", f"/api/admin/users/{ada.id}/", {"budgets": limits}), 10)
        refused = client.call("send", message="And more", conversation_id=first["conversation_id"])
        assert refused["code"] == "budget_exhausted"


def test_second_follow_takes_the_place_of_the_first(ada: Member) -> None:
    with ada.connect("/chat") as client:
        turn_id = client.call("send", message=SLOW)["id"]
        wait_for(lambda: client.read_answer(turn_id) == "Half an answer")
        client.call("follow", turn_id=turn_id, offset=len("Half an answer"))
        client.wait_for_end(turn_id)
        wait_for(lambda: client.read_answer(turn_id) == WHOLE)
        assert client.names().count("done") == 1


def test_client_id_is_the_routes_idempotency_key(ada: Member) -> None:
    body = {"message": "Once", "grounding": "off"}
    with ada.connect("/chat") as client:
        turns = [client.call("send", client_id="device-1", **body)["id"] for _ in range(3)]
        headers = {"Idempotency-Key": "device-1"}
        turns.append(ada.server.call("POST", "/api/chat/", body, ada.token, headers=headers)[2]["id"])
        assert len(set(turns)) == 1
        assert client.call("send", message="Twice", client_id="device-1")["code"] == "idempotency_key_reused"
        assert client.call("send", message="Twice", client_id="é")["errors"].keys() == {"client_id"}


def test_turn_is_cancelled(ada: Member) -> None:
    with ada.connect("/chat") as client:
        turn_id = client.call("send", message="[[slow 20]] hello")["id"]
        wait_for(lambda: client.read_answer(turn_id) == "Half an answer")
        assert client.call("cancel", turn_id=turn_id) == {}
        name, ended = client.wait_for_end(turn_id)
        assert (name, ended["status"], ended["bot_response"]) == ("done", "cancelled", "Half an answer")
        assert client.call("cancel", turn_id=turn_id)["code"] == "not_running"


def test_failed_turn_ends_with_its_problem(ada: Member) -> None:
    with ada.connect("/chat") as client:
        turn_id = client.call("send", message="[[status 401]] hello")["id"]
        name, problem = client.wait_for_end(turn_id)
        assert (name, problem["code"], problem["status"]) == ("error", "upstream_denied", 502)
        assert (problem["instance"], problem["turn_id"]) == (f"/api/chat/{turn_id}/", turn_id)
        turn_id = client.call("send", message="[[cut]] hello")["id"]
        assert client.wait_for_end(turn_id)[1]["code"] == "upstream_incomplete"
        wait_for(lambda: client.read_answer(turn_id) == "Half an answer")


def test_foreign_turn_is_as_a_random_one(ada: Member, eve: Member) -> None:
    turn = ada.call("POST", "/api/chat/", {"message": "a canary"})
    with eve.connect("/chat") as client:
        for event in ("follow", "cancel"):
            answers = [client.call(event, turn_id=one) for one in (turn["id"], str(uuid4()))]
            assert len({one.pop("request_id") for one in answers}) == 2
            assert answers[0] == answers[1]
            assert answers[0]["code"] == "not_found"
        answers = [client.call("send", message="x", conversation_id=one) for one in (turn["id"], str(uuid4()))]
        answers.append(client.call("send", message="x", conversation_id=turn["conversation_id"]))
        assert len({one.pop("request_id") for one in answers}) == 3
        assert answers[0] == answers[1] == answers[2]
        assert "canary" not in json.dumps(client.events)


@pytest.mark.parametrize(
    ("event", "data", "field"),
    [
        pytest.param("send", {}, "message", id="no message"),
        pytest.param("send", {"message": "x" * 32_001}, "message", id="long message"),
        pytest.param("send", {"message": "x", "stream": True}, "stream", id="stream"),
        pytest.param("send", {"message": "x", "user_id": str(uuid4())}, "user_id", id="forged user"),
        pytest.param("send", {"message": "x", "client_id": ""}, "client_id", id="no key"),
        pytest.param("follow", {}, "turn_id", id="no turn"),
        pytest.param("follow", {"turn_id": str(uuid4()), "offset": -1}, "offset", id="before the text"),
        pytest.param("follow", {"turn_id": str(uuid4()), "offset": "1"}, "offset", id="text for a number"),
        pytest.param("cancel", {"turn_id": "x"}, "turn_id", id="no id"),
    ],
)
def test_bad_input_has_its_field(ada: Member, event: str, data: dict[str, Any], field: str) -> None:
    with ada.connect("/chat") as client:
        answer = client.call(event, **data)
        assert (answer["code"], list(answer["errors"])) == ("validation_failed", [field])
        assert client.events == []


def test_limits_are_those_of_the_route(tmp_path: Path, upstream: Upstream) -> None:
    limits = {"RATELIMIT_ENABLED": "true", "RATE_CHAT_USER": "6 per hour", "STREAMS_PER_USER": "2"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **limits) as one:
        ada = Member(one, "ada")
        with ada.connect("/chat") as client:
            turns = [client.call("send", message="[[slow 30]] hello") for _ in range(3)]
            assert turns[2]["code"] == "too_many_streams"
            ids = [turn["id"] for turn in turns[:2]]
            assert client.call("follow", turn_id=ids[0])["code"] == "too_many_streams"
            assert len(ada.call("GET", "/api/chat-history/")["items"]) == 2  # nothing was written
            for turn_id in ids:
                client.call("cancel", turn_id=turn_id)
                client.wait_for_end(turn_id)
            wait_for(lambda: client.call("follow", turn_id=ids[0]) == {})
            assert ada.call("POST", "/api/chat/", {"message": "Hi"})["status"] == "completed"
            codes = [client.call("send", message="Hi").get("code") for _ in range(3)]
            assert codes[-1] == "rate_limited"


def test_reader_ends_with_its_socket(tmp_path: Path, upstream: Upstream) -> None:
    limits = {"RATELIMIT_ENABLED": "true", "STREAMS_PER_USER": "1", "RATE_READ_USER": "10000 per minute"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **limits) as one:
        ada = Member(one, "ada")
        with ada.connect("/chat") as client:
            turn_id = client.call("send", message="[[slow 30]] hello")["id"]
        with ada.connect("/chat") as client:
            wait_for(lambda: client.call("follow", turn_id=turn_id) == {}, 5)  # the place is free again
            wait_for(lambda: client.read_answer(turn_id) == "Half an answer")
            client.call("cancel", turn_id=turn_id)
            assert client.wait_for_end(turn_id)[1]["status"] == "cancelled"


def test_slow_reader_is_closed_and_holds_up_nobody(server: Server, ada: Member) -> None:
    turn_id = _write_long_turn(ada)
    small = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096),)
    with open_raw(server, ada.token, "/chat", sockopt=small) as slow, ada.connect("/chat") as client:
        slow.send("42/chat," + json.dumps(["follow", {"turn_id": turn_id}]))
        assert client.call("follow", turn_id=turn_id) == {}
        text = client.wait_for_end(turn_id)[1]["bot_response"]
        wait_for(lambda: client.read_answer(turn_id) == text)
        let_pass(12.0)  # in which its reader gives it up
        heard = read_all(slow)
        assert "slow_consumer" in heard[-1], heard[-1][:80]
        assert len(heard) < len(text) // 16_384


def _write_long_turn(member: Member) -> str:
    """Return a turn with an answer of the longest length, a million characters."""
    with member.connect("/chat") as client:
        turn_id: str = client.call("send", message="[[endless]] hello")["id"]
        name, ended = client.wait_for_end(turn_id)
        assert (name, len(ended["bot_response"]) > 1_000_000) == ("done", True)
    return turn_id


def test_turn_of_another_host_is_followed_and_cancelled(hosts: tuple[Server, Server]) -> None:
    ada = Member(hosts[0], "ada")
    there = ada.at(hosts[1])
    with ada.connect("/chat") as client, there.connect("/chat") as other:
        turn_id = client.call("send", message=SLOW)["id"]
        wait_for(lambda: client.read_answer(turn_id) == "Half an answer")
        assert other.call("follow", turn_id=turn_id, offset=5) == {}
        wait_for(lambda: other.read_answer(turn_id, 5) == "an answer")
        assert client.wait_for_end(turn_id) == other.wait_for_end(turn_id)
        wait_for(lambda: other.read_answer(turn_id, 5) == WHOLE[5:])
        turn_id = client.call("send", message="[[slow 60]] hello")["id"]
        wait_for(lambda: client.read_answer(turn_id) == "Half an answer")
        assert other.call("cancel", turn_id=turn_id) == {}
        assert client.wait_for_end(turn_id)[1]["status"] == "cancelled"


def test_turn_outlives_the_socket_that_sent_it(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one:
        ada = Member(one, "ada")
        with ada.connect("/chat") as client:
            turn_id = client.call("send", message=SLOW)["id"]
        with ada.connect("/chat") as client:
            assert client.call("follow", turn_id=turn_id) == {}
            assert client.wait_for_end(turn_id)[1]["bot_response"] == WHOLE
