"""Rooms in the feed of changes, and in the purge."""

import threading
from typing import Any

import pytest
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import RoomMessage
from chatbot.services.operations import retention
from chatbot.services.rooms import retention as room_retention
from tests.api.test_room_messages import list_messages, post
from tests.api.test_rooms import add, get_room, make_room, remove
from tests.conftest import Person
from tests.services.operations.test_retention import MONTH
from tests.support.plans import explain
from tests.support.replica import Replica
from tests.support.room_bot import ask

pytestmark = pytest.mark.both_databases


def find_rooms(device: Replica) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rooms of a device with their messages and memberships."""
    kinds = {"room", "room_message", "membership"}
    return {thing: data for thing, data in device.things.items() if thing[0] in kinds}


def require_rooms(*devices: Replica) -> None:
    """Compare the rooms of devices after a sync with those of the server."""
    for device in devices:
        device.sync()
        person = device.person
        expected: dict[tuple[str, str], dict[str, Any]] = {}
        for room in person.call("GET", "/api/rooms/").get_json()["items"]:
            expected["room", room["id"]] = room
            for message in list_messages(person, room, "?limit=100")["items"]:
                expected["room_message", message["id"]] = message
        found = find_rooms(device)
        members = [data for thing, data in found.items() if thing[0] == "membership"]
        assert {thing: data for thing, data in found.items() if thing[0] != "membership"} == expected
        for room in person.call("GET", "/api/rooms/").get_json()["items"]:
            listed = person.call("GET", f"/api/rooms/{room['id']}/members/").get_json()["items"]
            in_room = [one for one in members if one["room_id"] == room["id"]]
            assert sorted(in_room, key=lambda one: one["joined_at"]) == listed


def test_devices_get_all_of_rooms_and_what_is_gone_is_gone(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    hers = Replica(ada)
    mine = Replica(eve)
    message = post(ada, room, "hello")
    require_rooms(hers, mine)
    assert mine.things["room", room["id"]]["unread"] == 1
    eve.call("PUT", f"/api/rooms/{room['id']}/read/", {"seq": 2})
    mine.sync()
    assert {name: mine.things["room", room["id"]][name] for name in ("read_seq", "unread")} == {
        "read_seq": 2,
        "unread": 0,
    }
    require_rooms(hers, mine)
    ada.call("DELETE", f"/api/rooms/{room['id']}/messages/{message['id']}/")
    require_rooms(hers, mine)
    assert mine.things["room_message", message["id"]]["deleted"] is True
    add(ada, room, eve, "reader")
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"name": "Pond"})
    require_rooms(hers, mine)
    remove(ada, room, eve)
    require_rooms(hers, mine)
    assert find_rooms(mine) == {}
    require_rooms(Replica(ada), Replica(eve))
    ada.call("DELETE", f"/api/rooms/{room['id']}/")
    require_rooms(hers, Replica(ada))
    assert find_rooms(hers) == {}


def test_joining_device_gets_what_the_room_shows(ada: Person, eve: Person) -> None:
    rooms = [make_room(ada, history=history) for history in ("all", "joined")]
    for room in rooms:
        post(ada, room, "early")
        add(ada, room, eve)
    device = Replica(eve)
    device.sync()
    texts = {(data["room_id"], data["text"]) for (kind, _), data in device.things.items() if kind == "room_message"}
    assert texts == {
        (rooms[0]["id"], "early"),
        (rooms[0]["id"], "eve was added."),
        (rooms[1]["id"], "eve was added."),
    }


def test_purge_goes_through_no_changes_of_others(app: Flask, ada: Person, clock: Any) -> None:
    post(ada, make_room(ada), "old")
    clock.shift(31 * 86_400)
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            pytest.skip("the plan of SQLite, which PostgreSQL chooses by the rows that there are")
        plans = explain(lambda: retention.purge(MONTH, force=True), "DELETE FROM sync_changes")
    assert any("'room_message'" in statement for statement, _ in plans)
    assert not [plan for _, plan in plans if "SCAN sync_changes" in plan], plans


def test_purge_deletes_few_records_at_a_time(
    app: Flask, ada: Person, eve: Person, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_retention, "MAX_RECORDS", 4)
    room = make_room(ada)
    add(ada, room, eve)
    for number in range(9):
        post(ada, room, str(number))
    clock.shift(31 * 86_400)
    batches = []
    with app.app_context(), write("test") as connection:
        while deleted := room_retention.delete_messages(connection, now() - MONTH, 100):
            batches.append(deleted)
    assert batches == [2] * 5


def test_purge_takes_old_messages_and_expired_invites(app: Flask, ada: Person, clock: Any) -> None:
    room = make_room(ada)
    post(ada, room, "old")
    ada.call("POST", f"/api/rooms/{room['id']}/invites/", {"expires_in": 60})
    clock.shift(31 * 86_400)
    with app.app_context():
        retention.purge(MONTH, force=True)
    with app.app_context(), read() as connection:
        for table in ("room_messages", "room_invites"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
        left = connection.exec_driver_sql("SELECT count(*) FROM sync_changes WHERE type = 'room_message'").scalar()
        assert left == 0


def test_what_was_purged_is_not_unread(app: Flask, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    device = Replica(eve)
    post(ada, room, "old")
    ask(ada, room, "@bot! old, which Eve does not see")
    with app.app_context(), write("test") as connection:
        connection.execute(db.update(RoomMessage).values(created_at=now() - 2 * MONTH))
    post(ada, room, "young")
    device.sync()
    with app.app_context():
        retention.purge(MONTH, force=True)
    assert [one["text"] for one in list_messages(eve, room)["items"]] == ["young"]
    assert get_room(eve, room["id"])["unread"] == 1
    assert get_room(ada, room["id"])["unread"] == 0
    require_rooms(device)


def test_api_key_gets_what_its_scopes_open(app: Flask, ada: Person) -> None:
    post(ada, make_room(ada), "a canary")
    ada.says("a turn")
    ada.call("POST", "/api/documents/", {"title": "A canary", "text": "A canary."})
    kinds = {}
    for scope in ("history", "rooms", "knowledge:read"):
        body = {"name": scope, "scopes": sorted({scope, "history"})}
        secret = ada.call("POST", "/api/users/api-keys/", body).get_json()["secret"]
        device = Replica(Person(ada.client, ada.name, ada.id, secret, ""))
        device.sync()
        kinds[scope] = {kind for kind, _ in device.things}
    assert kinds == {
        "history": {"conversation", "turn"},
        "rooms": {"conversation", "turn", "room", "room_message", "membership"},
        "knowledge:read": {"conversation", "turn", "collection", "document"},
    }


def test_hidden_message_is_no_change_for_who_does_not_see_it(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    early = post(ada, room, "early")
    add(ada, room, eve)
    device = Replica(eve)
    device.sync()
    ada.call("PATCH", f"/api/rooms/{room['id']}/messages/{early['id']}/", {"text": "edited"})
    items = eve.call("GET", f"/api/sync/?since={device.cursor}").get_json()["items"]
    assert [one["type"] for one in items] == ["room"]


def test_message_from_before_is_found_by_its_client_id(ada: Person, eve: Person) -> None:
    room = make_room(ada)
    add(ada, room, eve)
    first = post(eve, room, "hello", client_id="a")
    remove(ada, room, eve)
    add(ada, room, eve)
    assert post(eve, room, "hello", client_id="a") == first


def test_room_is_deleted_while_its_members_read(app: Flask, ada: Person, eve: Person) -> None:
    statuses: set[int] = set()

    def read_on(person: Person, room: dict[str, Any]) -> None:
        own = Person(app.test_client(), person.name, person.id, person.access_token, "")
        for seq in range(1, 12):
            statuses.add(own.call("PUT", f"/api/rooms/{room['id']}/read/", {"seq": seq}).status_code)

    for _ in range(5):
        room = make_room(ada)
        add(ada, room, eve)
        for number in range(10):
            post(ada, room, str(number))
        readers = [threading.Thread(target=read_on, args=(person, room)) for person in (eve, ada)]
        for reader in readers:
            reader.start()
        statuses.add(ada.call("DELETE", f"/api/rooms/{room['id']}/").status_code)
        for reader in readers:
            reader.join()
    assert statuses <= {204, 404}
