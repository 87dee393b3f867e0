"""Rooms on two hosts: each client hears the same in the same order, wherever it is and wherever a change is made."""

from typing import Any

import pytest

from tests.support.fleet import Balancer
from tests.support.node_sockets import NodeClient
from tests.support.processes import Server, call
from tests.support.sockets import Member
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


def by_rev(events: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Return events in their order: python-socketio handles each in a thread."""
    return sorted(events, key=lambda event: int(event[1]["rev"]))


def test_members_on_both_hosts_hear_the_same_in_one_order(hosts: tuple[Server, Server]) -> None:
    one, other = hosts
    ada, eve, bob = (Member(one, name) for name in ("ada", "eve", "bob"))
    room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
    for member in (eve, bob):
        ada.call("PUT", f"/api/rooms/{room_id}/members/{member.id}/", {"role": "member"})
    messages = f"/api/rooms/{room_id}/messages"
    eve.server = bob.server = other
    with ada.connect() as hers, eve.connect() as mine, NodeClient(other.port, bob.token) as his:
        for client in (hers, mine, his):
            client.call("join", room_id=room_id)
        sent = [client.call("message", room_id=room_id, text="Grüße", client_id="1") for client in (hers, mine, his)]
        again = his.call("message", room_id=room_id, text="Grüße", client_id="1")
        assert again == sent[2]
        wait_for(lambda: len(hers.texts()) == len(mine.texts()) == len(his.list_messages()) == 3)
        ada.call("PATCH", f"{messages}/{sent[0]['id']}/", {"text": "Hello"})
        eve.call("DELETE", f"{messages}/{sent[1]['id']}/")
        ada.call("PATCH", f"/api/rooms/{room_id}/", {"topic": "Frogs"})
        wait_for(lambda: len(hers.events) == len(mine.events) == len(his.list_changes()) == 6)
        assert by_rev(hers.events) == by_rev(mine.events) == his.list_changes()
        assert [name for name, _ in his.list_changes()] == ["message"] * 3 + ["changed"] * 3
        ada.call("DELETE", f"/api/rooms/{room_id}/members/{bob.id}/")
        wait_for(lambda: "removed" in his.names())
        mine.call("message", room_id=room_id, text="a canary")
        wait_for(lambda: "a canary" in hers.texts())
        assert [name for name, _ in his.list_changes()][-1] == "removed"


def test_client_that_comes_back_to_the_other_host_misses_nothing(hosts: tuple[Server, Server]) -> None:
    one, other = hosts
    balancer = Balancer([one.port, other.port])
    try:
        ada = Member(one, "ada")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        rev = call(one.port, "GET", f"/api/rooms/{room_id}/", token=ada.token)[2]["rev"]
        texts = []
        for number in range(6):  # the balancer gives each socket to the next host
            text = str(number)
            call(one.port, "POST", f"/api/rooms/{room_id}/messages/", {"text": text}, ada.token)
            texts.append(text)
            with NodeClient(balancer.port, ada.token) as client:
                joined = client.call("join", room_id=room_id, since_rev=rev)
                assert [change["data"]["text"] for change in joined["changes"]] == texts
    finally:
        balancer.close()
