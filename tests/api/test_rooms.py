"""Rooms: settings, members, roles and invites."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chatbot.database.transactions import read, write
from chatbot.errors import DatabaseBusy
from chatbot.models import Room, RoomMessage, SyncChange, User
from chatbot.services.rooms import retention
from tests.conftest import MakeApp, Person, join
from tests.support.roles import disable

pytestmark = pytest.mark.both_databases

NOBODY = str(uuid4())


def make_room(person: Person, **values: Any) -> dict[str, Any]:
    response = person.call("POST", "/api/rooms/", {"name": "Lake", **values})
    assert response.status_code == 201, response.get_json()
    room: dict[str, Any] = response.get_json()
    return room


def get_room(person: Person, room_id: str) -> dict[str, Any]:
    room: dict[str, Any] = person.call("GET", f"/api/rooms/{room_id}/").get_json()
    return room


def add(owner: Person, room: dict[str, Any], person: Person, role: str = "member") -> TestResponse:
    return owner.call("PUT", f"/api/rooms/{room['id']}/members/{person.id}/", {"role": role})


def remove(owner: Person, room: dict[str, Any], person: Person) -> TestResponse:
    return owner.call("DELETE", f"/api/rooms/{room['id']}/members/{person.id}/")


def invite(owner: Person, room: dict[str, Any], **values: Any) -> str:
    response = owner.call("POST", f"/api/rooms/{room['id']}/invites/", values)
    assert response.status_code == 201, response.get_json()
    token: str = response.get_json()["token"]
    return token


def enter(person: Person, token: str) -> TestResponse:
    return person.call("POST", "/api/rooms/join/", {"token": token})


def list_members(person: Person, room: dict[str, Any]) -> list[tuple[str, str]]:
    items = person.call("GET", f"/api/rooms/{room['id']}/members/").get_json()["items"]
    return [(one["username"], one["role"]) for one in items]


def list_texts(person: Person, room: dict[str, Any], query: str = "") -> list[str]:
    items = person.call("GET", f"/api/rooms/{room['id']}/messages/{query}").get_json()["items"]
    return [one["text"] for one in items]


def list_room_ids(person: Person) -> list[str]:
    return [one["id"] for one in person.call("GET", "/api/rooms/").get_json()["items"]]


def read_feed(person: Person) -> str:
    """Return all that a new device gets."""
    first = person.call("GET", "/api/sync/").get_json()
    return json.dumps([first, person.call("GET", f"/api/sync/?since={first['next_cursor']}").get_json()])


def get_code(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["code"]


def test_new_room_has_its_maker_as_owner(ada: Person) -> None:
    room = make_room(ada, topic="Who brings what", history="all")
    assert room == {
        "id": room["id"],
        "name": "Lake",
        "topic": "Who brings what",
        "history": "all",
        "bot": "mention",
        "instructions": None,
        "collection_ids": [],
        "members": 1,
        "role": "owner",
        "last_seq": 0,
        "rev": 1,
        "read_seq": 0,
        "unread": 0,
        "created_at": room["created_at"],
    }
    assert get_room(ada, room["id"]) == room
    assert ada.call("GET", "/api/rooms/").get_json() == {"items": [room], "next_cursor": None}
    assert list_members(ada, room) == [("ada", "owner")]


def test_same_idempotency_key_makes_one_room(ada: Person) -> None:
    made = [
        ada.call("POST", "/api/rooms/", {"name": "Lake"}, headers={"Idempotency-Key": "a"}).get_json() for _ in range(2)
    ]
    assert made[0] == made[1]
    assert list_room_ids(ada) == [made[0]["id"]]


def test_rooms_are_listed_by_their_newest_message(ada: Person) -> None:
    first, second, third = (make_room(ada, name=name)["id"] for name in ("a", "b", "c"))
    ada.call("POST", f"/api/rooms/{first}/messages/", {"text": "hello"})
    assert list_room_ids(ada) == [first, third, second]
    page = ada.call("GET", "/api/rooms/?limit=2").get_json()
    rest = ada.call("GET", f"/api/rooms/?limit=2&cursor={page['next_cursor']}").get_json()
    assert [one["id"] for one in page["items"] + rest["items"]] == [first, third, second]
    assert rest["next_cursor"] is None


def test_owner_changes_the_settings_and_the_room_tells_its_new_name(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    changed = ada.call("PATCH", f"/api/rooms/{room['id']}/", {"name": "Pond", "topic": "Frogs"}).get_json()
    assert (changed["name"], changed["topic"], changed["rev"], changed["last_seq"]) == ("Pond", "Frogs", 5, 2)
    assert list_texts(eve, room) == ["eve was added.", "ada named the room Pond."]
    quiet = ada.call("PATCH", f"/api/rooms/{room['id']}/", {"history": "all"}).get_json()
    assert (quiet["history"], quiet["rev"], quiet["last_seq"]) == ("all", 6, 2)
    assert get_code(eve.call("PATCH", f"/api/rooms/{room['id']}/", {"name": "Mine"})) == (403, "forbidden")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param({}, "name", id="no name"),
        pytest.param({"name": "x" * 121}, "name", id="long name"),
        pytest.param({"name": " "}, "name", id="blank name"),
        pytest.param({"name": "x", "topic": "x" * 501}, "topic", id="long topic"),
        pytest.param({"name": "x", "history": "none"}, "history", id="unknown history"),
        pytest.param({"name": "x", "owner": "me"}, "owner", id="unknown field"),
    ],
)
def test_bad_settings_are_refused_by_name(ada: Person, values: dict[str, Any], field: str) -> None:
    response = ada.call("POST", "/api/rooms/", values)
    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == [field]


def test_members_are_added_change_their_role_and_are_removed(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    assert add(ada, room, eve, "reader").status_code == 204
    assert get_room(eve, room["id"])["role"] == "reader"
    assert list_members(eve, room) == [("ada", "owner"), ("eve", "reader")]
    refused = eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "hello"})
    assert get_code(refused) == (403, "forbidden")
    assert add(ada, room, eve, "member").status_code == 204
    assert eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "hello"}).status_code == 201
    assert get_code(remove(eve, room, ada)) == (403, "forbidden")
    assert remove(ada, room, eve).status_code == 204
    assert get_code(remove(ada, room, eve)) == (404, "not_found")
    assert list_members(ada, room) == [("ada", "owner")]
    assert list_texts(ada, room) == ["eve was added.", "hello", "eve was removed."]
    assert get_room(ada, room["id"])["members"] == 1


def test_removed_member_is_a_stranger(client: FlaskClient, ada: Person, eve: Person) -> None:
    room = make_room(ada, history="all")
    add(ada, room, eve)
    message = ada.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "a canary"}).get_json()
    remove(ada, room, eve)
    assert list_room_ids(eve) == []
    for path in ("", "members/", "messages/", "changes/", "events/"):
        answers = [eve.call("GET", f"/api/rooms/{room_id}/{path}") for room_id in (room["id"], NOBODY)]
        assert [get_code(answer) for answer in answers] == [(404, "not_found")] * 2
    for method, path, body in (
        ("POST", "messages/", {"text": "x"}),
        ("PATCH", f"messages/{message['id']}/", {"text": "x"}),
        ("DELETE", f"messages/{message['id']}/", None),
        ("PUT", "read/", {"seq": 1}),
    ):
        assert eve.call(method, f"/api/rooms/{room['id']}/{path}", body).status_code == 404
    assert "canary" not in read_feed(eve)
    assert "canary" in read_feed(ada)


def test_member_who_left_comes_back_by_an_invite_alone(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    assert remove(eve, room, eve).status_code == 204
    assert get_code(add(ada, room, eve)) == (409, "member_left")
    assert enter(eve, invite(ada, room)).get_json()["role"] == "member"
    assert list_texts(ada, room) == ["eve was added.", "eve left.", "eve joined."]


def test_removed_member_does_not_come_back_by_an_older_invite(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    old = invite(ada, room)
    enter(eve, old)
    remove(ada, room, eve)
    assert get_code(enter(eve, old)) == (404, "not_found")
    assert enter(eve, invite(ada, room)).status_code == 200


def test_room_keeps_an_owner(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    assert get_code(remove(ada, room, ada)) == (409, "last_owner")
    assert get_code(add(ada, room, ada, "member")) == (409, "last_owner")
    add(ada, room, eve, "owner")
    assert remove(ada, room, ada).status_code == 204
    assert get_room(eve, room["id"])["role"] == "owner"


def test_full_room_lets_nobody_in(make_app: MakeApp) -> None:
    client = make_app(RATELIMIT_ENABLED="true", MEMBERS_PER_ROOM="2").test_client()
    ada, eve, bob = (join(client, name) for name in ("ada", "eve", "bob"))
    room = make_room(ada)
    token = invite(ada, room)
    add(ada, room, eve)
    assert get_code(add(ada, room, bob)) == (409, "room_full")
    assert get_code(enter(bob, token)) == (409, "room_full")


def test_user_has_so_many_rooms(make_app: MakeApp) -> None:
    client = make_app(RATELIMIT_ENABLED="true", ROOMS_PER_USER="2", MEMBERSHIPS_PER_USER="3").test_client()
    ada, eve = (join(client, name) for name in ("ada", "eve"))
    mine = [make_room(ada) for _ in range(2)]
    assert get_code(ada.call("POST", "/api/rooms/", {"name": "x"})) == (409, "too_many_rooms")
    assert [add(ada, room, eve).status_code for room in mine] == [204, 204]
    make_room(eve)  # what others do to her keeps her from nothing
    make_room(eve)
    bob = join(client, "bob")
    assert get_code(add(bob, make_room(bob), eve)) == (409, "too_many_rooms")


def test_deleted_room_is_gone_for_all_with_its_messages(app: Flask, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    for text in ("one", "two"):
        eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": text})
    assert get_code(eve.call("DELETE", f"/api/rooms/{room['id']}/")) == (403, "forbidden")
    assert ada.call("DELETE", f"/api/rooms/{room['id']}/").status_code == 204
    assert [list_room_ids(person) for person in (ada, eve)] == [[], []]
    with app.app_context(), read() as connection:
        left = [connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in (Room, RoomMessage)]
        recorded = connection.execute(sa.select(SyncChange.type, SyncChange.deleted, SyncChange.object_id)).all()
    assert left == [0, 0]
    assert [tuple(row) for row in recorded if row.type.startswith("room")] == [("room", True, UUID(room["id"]))] * 2


def break_off(*_: object) -> int:
    raise DatabaseBusy("The database is busy.")


def test_deletion_that_broke_off_is_ended_by_the_next_purge(app: Flask, ada: Person) -> None:
    room = make_room(ada)
    for number in range(3):
        ada.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": str(number)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "delete_room_messages", break_off)
        assert ada.call("DELETE", f"/api/rooms/{room['id']}/").status_code == 503
    assert app.test_cli_runner().invoke(args=["history", "purge", "--force"]).exit_code == 0
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(RoomMessage)) == 0
        assert connection.scalar(sa.select(sa.func.count()).select_from(Room)) == 0


def test_nobody_joins_a_room_that_is_being_deleted(app: Flask, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    token = invite(ada, room)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "delete_room_messages", break_off)
        assert ada.call("DELETE", f"/api/rooms/{room['id']}/").status_code == 503
    assert get_code(enter(eve, token)) == (404, "not_found")
    assert app.test_cli_runner().invoke(args=["history", "purge", "--force"]).exit_code == 0
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Room)) == 0


def test_nobody_joins_a_room_whose_members_are_gone(app: Flask, ada: Person, eve: Person) -> None:
    token = invite(ada, make_room(ada))
    with app.app_context(), write("test") as connection:
        connection.execute(sa.delete(User).where(User.id == UUID(ada.id)))
    assert get_code(enter(eve, token)) == (404, "not_found")


def test_disabled_member_can_be_removed(app: Flask, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    with app.app_context():
        disable("eve@example.org")
    assert remove(ada, room, eve).status_code == 204
    assert list_members(ada, room) == [("ada", "owner")]
