"""Rooms and chat over WebSocket: npm's `socket.io-client`, unpatched, and a real server."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import SECRETS
from tests.support.node_sockets import CHANGES, NodeClient
from tests.support.processes import Server, Upstream, running
from tests.support.sockets import Member
from tests.support.waiting import wait_for
from tests.system.sockets.test_access import sign

pytestmark = pytest.mark.slow

TEXTS = [str(number) for number in range(60)]
MAX_WRITER_SECONDS = 60


def test_client_hears_what_pythons_hears(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, NodeClient(server.port, eve.token) as client:
        joined = client.call("join", room_id=room_id, since_rev=0)
        assert [one["data"]["text"] for one in joined["changes"] if one["type"] == "message"] == [
            f"{eve.name} was added."
        ]
        assert (joined["room"]["role"], joined["complete"]) == ("member", True)
        hers.call("join", room_id=room_id)
        sent = client.call("message", room_id=room_id, text="Grüße \N{FOX FACE}", client_id="1")
        assert client.call("message", room_id=room_id, text="Grüße \N{FOX FACE}", client_id="1") == sent
        ada.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "by REST", "reply_to": sent["id"]})
        for heard in (client.list_messages, hers.texts):  # once deleted, a message is told of as `changed` alone
            wait_for(lambda heard=heard: len(heard()) == 2)
        eve.call("PATCH", f"/api/rooms/{room_id}/messages/{sent['id']}/", {"text": "Hello"})
        ada.call("DELETE", f"/api/rooms/{room_id}/messages/{sent['id']}/")
        for events in (client.list_changes, lambda: hers.events):
            wait_for(lambda events=events: any(data.get("rev") == 7 for _, data in events()))
        assert client.events[0] == ("connect", {})
        assert client.list_changes() == [one for one in hers.events if one[0] in CHANGES]
        assert client.list_changes()[0] == ("message", sent)
        (_, deleted) = client.list_changes()[-1]
        assert (deleted["data"]["id"], deleted["data"]["deleted"], deleted["data"]["text"]) == (sent["id"], True, "")
        assert client.call("read", room_id=room_id, seq=3) == {}
        assert eve.call("GET", f"/api/rooms/{room_id}/")["read_seq"] == 3


def test_bad_events_have_their_problem_and_the_socket_lives_on(server: Server, ada: Member, eve: Member) -> None:
    foreign = ada.call("POST", "/api/rooms/", {"name": "Hers"})["id"]
    own = eve.call("POST", "/api/rooms/", {"name": "Own"})["id"]
    with NodeClient(server.port, eve.token) as client:
        refused = client.call("join", room_id=foreign)
        assert (refused["code"], refused["status"], refused["retryable"]) == ("not_found", 404, False)
        assert client.call("message", room_id=own, text="")["errors"].keys() == {"text"}
        assert client.call("nonsense")["errors"].keys() == {"event"}
        assert client.call("join", room_id=own, since_rev=99)["code"] == "cursor_expired"
        assert client.call("message", room_id=own, text="still here")["author"]["id"] == eve.id
        assert "disconnect" not in client.names()


def test_client_without_a_caller_is_refused(server: Server) -> None:
    with NodeClient(server.port, "x.y.z") as client:
        wait_for(lambda: "connect_error" in client.names())
        (refusal,) = [data for name, data in client.events if name == "connect_error"]
        assert refusal["message"] == "unauthenticated"
        assert (refusal["data"]["code"], refusal["data"]["status"]) == ("unauthenticated", 401)


def test_token_is_renewed_on_the_open_socket(server: Server, ada: Member, room_id: str) -> None:
    expiry = int(time.time()) + 4
    with (
        NodeClient(server.port, sign(ada.token, exp=expiry)) as kept,
        NodeClient(server.port, sign(ada.token, exp=expiry)) as left,
    ):
        assert kept.call("join", room_id=room_id)["complete"]
        assert left.call("join", room_id=room_id)["complete"]
        assert kept.call("token", token="x.y.z")["code"] == "unauthenticated"
        assert kept.call("token", token=ada.token) == {}
        wait_for(lambda: "disconnect" in left.names())
        assert left.list_changes() == [("closing", {"code": "token_expired", "reconnect": True, "after": 0.0})]
        assert time.time() >= expiry
        assert kept.call("message", room_id=room_id, text="still here")["text"] == "still here"
        wait_for(lambda: [name for name, _ in kept.list_changes()] == ["message"])
        assert kept.names().count("connect") == 1


def test_removed_member_hears_it_and_nothing_after(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, NodeClient(server.port, eve.token) as client:
        hers.call("join", room_id=room_id)
        client.call("join", room_id=room_id)
        ada.call("DELETE", f"/api/rooms/{room_id}/members/{eve.id}/")
        wait_for(lambda: "removed" in client.names())
        hers.call("message", room_id=room_id, text="a canary")
        wait_for(lambda: "a canary" in hers.texts())
        assert client.list_changes() == [("removed", {"room_id": room_id})]


def write_all(member: Member, room_id: str) -> None:
    """Write all texts in their order, each until it is stored."""
    for text in TEXTS:
        body = {"text": text, "client_id": text}
        wait_for(lambda body=body: post(member, room_id, body), MAX_WRITER_SECONDS)


def post(member: Member, room_id: str, body: dict[str, Any]) -> bool:
    try:
        return "id" in member.call("POST", f"/api/rooms/{room_id}/messages/", body)
    except OSError:
        return False


def test_restarts_lose_and_double_nothing(tmp_path: Path, upstream: Upstream) -> None:
    """The client connects again by itself after `closing`; joins with the `rev` that it knows."""
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **SECRETS) as one:
        ada = Member(one, "ada")
        eve = Member(one, "eve")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        ada.call("PUT", f"/api/rooms/{room_id}/members/{eve.id}/", {"role": "member"})
        with NodeClient(one.port, eve.token) as client:
            rev = client.call("join", room_id=room_id)["rev"]
            writer = threading.Thread(target=write_all, args=(ada, room_id))
            writer.start()
            missed: list[dict[str, Any]] = []
            for restart, count in enumerate((15, 30), 1):
                wait_for(lambda count=count: len(client.list_changes()) + len(missed) >= count)
                assert one.stop() == 0
                one.start()
                wait_for(lambda restart=restart: client.names().count("connect") == restart + 1)
                heard = [message["rev"] for message in client.list_messages()]
                known = max([rev, *heard, *(change["rev"] for change in missed)])
                joined = client.call("join", room_id=room_id, since_rev=known)
                assert joined["complete"]
                missed += joined["changes"]
            writer.join()
            wait_for(lambda: len(client.list_messages()) + len(missed) >= len(TEXTS))
    live = client.list_messages()
    seen = sorted([*live, *(change["data"] for change in missed)], key=lambda message: int(message["seq"]))
    assert [message["text"] for message in seen] == TEXTS
    assert [message["text"] for message in live] == sorted((one["text"] for one in live), key=int)
    assert [data["code"] for name, data in client.list_changes() if name == "closing"] == ["draining", "draining"]


def test_members_hear_of_typing_and_presence(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with NodeClient(server.port, ada.token) as hers:
        hers.call("join", room_id=room_id)
        with NodeClient(server.port, eve.token) as other:
            other.call("join", room_id=room_id)
            assert other.call("typing", room_id=room_id) == {}
            wait_for(lambda: {"typing", "presence"} <= set(hers.names()))
        wait_for(lambda: any(name == "presence" and data["leaves"] for name, data in hers.events))
        joined = [data["joins"] for name, data in hers.events if name == "presence" and data["joins"]]
        assert eve.id in str(joined)


def test_personal_chat_is_followed_and_cancelled(server: Server, ada: Member) -> None:
    with NodeClient(server.port, ada.token, "/chat") as client:
        turn = client.call("send", message="Grüße an 🦊 alle")
        ended = wait_for(lambda: [data for name, data in client.events if name == "done"])[0]
        text = "".join(data["text"] for name, data in client.events if name == "delta")
        assert (ended["id"], ended["status"], ended["bot_response"]) == (turn["id"], "completed", text)
        running = client.call("send", message="[[slow 20]] hello")["id"]
        wait_for(lambda: [data for name, data in client.events if name == "delta" and data["turn_id"] == running])
        assert client.call("cancel", turn_id=running) == {}
        wait_for(lambda: [data for name, data in client.events if name == "done" and data["status"] == "cancelled"])
        assert client.call("follow", turn_id=ada.id, offset=0)["code"] == "not_found"
