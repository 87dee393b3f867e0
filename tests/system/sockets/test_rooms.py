"""Rooms over WebSocket: python-socketio's client and a real server."""

import json
import time
from uuid import uuid4

import pytest

from tests.support.processes import Server
from tests.support.sockets import Member
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.measured]


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


def test_bad_events_have_their_problem_and_the_socket_lives_on(ada: Member, eve: Member, room_id: str) -> None:
    foreign = ada.call("POST", "/api/rooms/", {"name": "Hers"})["id"]
    with eve.connect() as client:
        answers = [client.call("join", room_id=one) for one in (foreign, str(uuid4()))]
        assert len({one.pop("request_id") for one in answers}) == 2
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "not_found"
        writes = [client.call("message", room_id=one, text="x") for one in (foreign, str(uuid4()))]
        assert len({one.pop("request_id") for one in writes}) == 2
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
