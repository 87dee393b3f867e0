"""Typing and presence over WebSocket: on one process, and between two hosts with PostgreSQL and Redis."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.processes import Server
from tests.support.redis_server import RedisServer
from tests.support.sockets import Member, SocketClient
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.slow


def test_members_hear_that_another_one_types(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    bob = Member(server, "bob")
    ada.call("PUT", f"/api/rooms/{room_id}/members/{bob.id}/", {"role": "reader"})
    with ada.connect() as hers, eve.connect() as mine, bob.connect() as his:
        for client in (hers, mine, his):
            client.call("join", room_id=room_id)
        for _ in range(3):
            assert hers.call("typing", room_id=room_id) == {}
        wait_for(lambda: mine.signals_of("typing") and his.signals_of("typing"))
        assert his.call("typing", room_id=room_id)["code"] == "forbidden"
        answers = [mine.call("typing", room_id=one) for one in (_make_foreign_room(ada), str(uuid4()))]
        assert len({one.pop("request_id") for one in answers}) == 2
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "not_found"
        mine.call("typing", room_id=room_id)
        wait_for(lambda: hers.signals_of("typing"))
        expected = {"room_id": room_id, "user_id": ada.id, "username": ada.name, "expires_in": 6}
        assert mine.signals_of("typing") == [expected]
        assert [one["username"] for one in hers.signals_of("typing")] == [eve.name]


def _make_foreign_room(member: Member) -> str:
    made: str = member.call("POST", "/api/rooms/", {"name": "Hers"})["id"]
    return made


def test_members_see_which_others_are_there(server: Server, ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers:
        assert hers.call("join", room_id=room_id)["present"] == [show(ada)]
        with eve.connect() as mine, eve.connect() as other:
            assert mine.call("join", room_id=room_id)["present"] == sort(ada, eve)
            other.call("join", room_id=room_id)
            wait_for(lambda: hers.signals_of("presence"))
            assert hers.signals_of("presence") == [{"room_id": room_id, "joins": [show(eve)], "leaves": []}]
            assert mine.call("leave", room_id=room_id) == {}
            ada.call("DELETE", f"/api/rooms/{room_id}/members/{eve.id}/")
            wait_for(lambda: len(hers.signals_of("presence")) == 2)
            assert hers.signals_of("presence")[1] == {"room_id": room_id, "joins": [], "leaves": [show(eve)]}
            assert other.call("join", room_id=room_id)["code"] == "not_found"


def show(member: Member) -> dict[str, Any]:
    return {"id": member.id, "username": member.name}


def sort(*members: Member) -> list[dict[str, Any]]:
    return [show(one) for one in sorted(members, key=lambda one: one.name)]


def test_signals_reach_the_other_host_and_heal_behind_redis(
    hosts: tuple[Server, Server], own_redis: RedisServer
) -> None:
    ada, eve = (Member(host, name) for host, name in zip(hosts, ("ada", "eve"), strict=True))
    room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    ada.call("PUT", f"/api/rooms/{room_id}/members/{eve.id}/", {"role": "member"})
    with ada.connect() as hers, eve.connect() as mine:
        hers.call("join", room_id=room_id)
        wait_for(lambda: mine.call("join", room_id=room_id)["present"] == sort(ada, eve))
        wait_for(lambda: last_presence(hers) == ("joins", eve.id))
        assert hers.call("typing", room_id=room_id) == {}
        wait_for(lambda: [one["user_id"] for one in mine.signals_of("typing")] == [ada.id])
        own_redis.stop()
        wait_for(lambda: last_presence(hers) == ("leaves", eve.id))
        assert mine.call("typing", room_id=room_id) == {}
        assert mine.call("message", room_id=room_id, text="goes on")["seq"] > 0
        wait_for(lambda: hers.texts() == ["goes on"])
        own_redis.start()
        wait_for(lambda: last_presence(hers) == ("joins", eve.id))
        own_redis.pause()
        other = eve.call("POST", "/api/rooms/", {"name": "Shore"})["id"]
        assert mine.call("join", room_id=other)["present"] == [show(eve)]
        let_pass(2.0)  # more than one look
        own_redis.resume()
        wait_for(lambda: last_presence(hers) == ("joins", eve.id))
        hosts[1].kill()
        wait_for(lambda: last_presence(hers) == ("leaves", eve.id))


def last_presence(client: SocketClient) -> tuple[str, str]:
    """Return the last change of presence, and its user."""
    found = client.signals_of("presence")
    if not found:
        return ("", "")
    kind = "joins" if found[-1]["joins"] else "leaves"
    return (kind, found[-1][kind][0]["id"])
