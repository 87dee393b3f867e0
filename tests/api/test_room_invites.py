"""Invites to rooms."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.test_rooms import enter, get_code, invite, list_room_ids, make_room
from tests.conftest import Person, join

pytestmark = pytest.mark.both_databases


def test_invite_lets_in_as_often_as_it_says(client: FlaskClient, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    token = invite(ada, room, max_uses=1)
    first = enter(eve, token).get_json()
    assert (first["id"], first["members"], first["unread"]) == (room["id"], 2, 0)
    assert enter(eve, token).get_json() == first  # a member uses nothing up
    bob = join(client, "bob")
    assert get_code(enter(bob, token)) == (404, "not_found")
    assert get_code(enter(bob, "guessed")) == (404, "not_found")
    assert list_room_ids(bob) == []


def test_invites_are_listed_and_deleted_by_owners_alone(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    path = f"/api/rooms/{room['id']}/invites/"
    enter(eve, invite(ada, room, expires_in=60))
    listed = ada.call("GET", path).get_json()["items"]
    assert [(one["uses"], one["max_uses"], "token" in one) for one in listed] == [(1, None, False)]
    assert [get_code(eve.call(method, path)) for method in ("GET", "POST")] == [(403, "forbidden")] * 2
    assert eve.call("DELETE", f"{path}{listed[0]['id']}/").status_code == 403
    assert ada.call("DELETE", f"{path}{listed[0]['id']}/").status_code == 204
    assert ada.call("GET", path).get_json()["items"] == []
    assert ada.call("POST", path, {"expires_in": 30 * 86_400 + 1}).status_code == 400


def test_expired_invite_lets_nobody_in(ada: Person, eve: Person, clock: Any) -> None:
    room = make_room(ada)
    token = invite(ada, room, expires_in=60)
    clock.shift(61)
    assert get_code(enter(eve, token)) == (404, "not_found")
