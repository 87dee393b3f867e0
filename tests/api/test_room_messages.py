"""Messages of rooms: numbered without gaps, stored once, read by members."""

import threading
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests.api.test_rooms import add, get_code, get_room, list_texts, make_room, remove
from tests.conftest import MakeApp, Person, join
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


def post(person: Person, room: dict[str, Any], text: str, **values: Any) -> dict[str, Any]:
    response = person.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": text, **values})
    assert response.status_code in {200, 201}, response.get_json()
    message: dict[str, Any] = response.get_json()
    return message


def list_messages(person: Person, room: dict[str, Any], query: str = "") -> dict[str, Any]:
    page: dict[str, Any] = person.call("GET", f"/api/rooms/{room['id']}/messages/{query}").get_json()
    return page


def list_changes(person: Person, room: dict[str, Any], since: int = 0, **query: int) -> dict[str, Any]:
    page: dict[str, Any] = person.call(
        "GET", f"/api/rooms/{room['id']}/changes/", query_string={"since_rev": since, **query}
    ).get_json()
    return page


@pytest.fixture
def room(ada: Person, eve: Person) -> dict[str, Any]:
    """Return a room of Ada's with Eve as a member: its last message is 1, its last change 3."""
    made = make_room(ada)
    add(ada, made, eve)
    return made


def test_message_is_stored_with_its_author_and_numbers(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    message = post(eve, room, "Who brings the boat, @ada? Not @nobody, nor mail@ada.", client_id="c1")
    assert message == {
        "id": message["id"],
        "room_id": room["id"],
        "seq": 2,
        "rev": 4,
        "author": {"id": eve.id, "username": "eve"},
        "kind": "message",
        "text": "Who brings the boat, @ada? Not @nobody, nor mail@ada.",
        "reply_to": None,
        "mentions": [ada.id],
        "client_id": "c1",
        "turn_id": None,
        "status": None,
        "error": None,
        "citations": [],
        "audience": None,
        "withheld": None,
        "visible_to": None,
        "edited_at": None,
        "deleted": False,
        "created_at": message["created_at"],
    }
    assert list_messages(ada, room)["items"][1] == message
    assert [get_room(person, room["id"])["unread"] for person in (ada, eve)] == [2, 0]
    answer = post(ada, room, "I do, @eve.", reply_to=message["id"])
    assert (answer["seq"], answer["rev"], answer["reply_to"], answer["mentions"]) == (3, 5, message["id"], [eve.id])


def test_message_that_comes_twice_is_stored_once(eve: Person, room: dict[str, Any]) -> None:
    first = eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "hi", "client_id": "a"})
    again = eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "hi", "client_id": "a"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json() == again.get_json()
    headers = {"Idempotency-Key": "k"}
    path = f"/api/rooms/{room['id']}/messages/"
    keyed = [eve.call("POST", path, {"text": "ho"}, headers=headers).get_json() for _ in range(2)]
    assert keyed[0] == keyed[1]
    assert get_code(eve.call("POST", path, {"text": "x"}, headers=headers)) == (422, "idempotency_key_reused")
    assert list_texts(eve, room)[1:] == ["hi", "ho"]


def test_each_author_has_their_own_client_ids(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    assert post(ada, room, "hers", client_id="a")["id"] != post(eve, room, "mine", client_id="a")["id"]
    other = make_room(ada)
    assert post(ada, other, "elsewhere", client_id="a")["text"] == "elsewhere"


def test_messages_are_read_page_by_page_in_both_directions(ada: Person, room: dict[str, Any]) -> None:
    for number in range(2, 8):
        post(ada, room, str(number))
    last = list_messages(ada, room, "?limit=3")
    assert ([one["seq"] for one in last["items"]], last["more"]) == ([5, 6, 7], True)
    before = list_messages(ada, room, "?limit=4&before_seq=5")
    assert ([one["seq"] for one in before["items"]], before["more"]) == ([1, 2, 3, 4], False)
    since = list_messages(ada, room, "?limit=2&since_seq=4")
    assert ([one["seq"] for one in since["items"]], since["more"]) == ([5, 6], True)
    both = ada.call("GET", f"/api/rooms/{room['id']}/messages/?since_seq=1&before_seq=5")
    assert (both.status_code, list(both.get_json()["errors"])) == (400, ["before_seq"])


def test_message_is_edited_by_its_author_alone(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    message = post(eve, room, "befor")
    path = f"/api/rooms/{room['id']}/messages/{message['id']}/"
    edited = eve.call("PATCH", path, {"text": "before, @ada"}).get_json()
    assert (edited["text"], edited["seq"], edited["rev"], edited["mentions"]) == ("before, @ada", 2, 5, [ada.id])
    assert edited["edited_at"] is not None
    assert eve.call("PATCH", path, {"text": "before, @ada"}).get_json() == edited  # nothing changed
    assert get_code(ada.call("PATCH", path, {"text": "mine"})) == (403, "forbidden")
    assert get_room(ada, room["id"])["rev"] == 5


def test_message_is_deleted_by_its_author_or_an_owner_and_keeps_its_place(
    ada: Person, eve: Person, room: dict[str, Any]
) -> None:
    hers = post(ada, room, "Ada's canary")
    mine = post(eve, room, "Eve's canary")
    path = f"/api/rooms/{room['id']}/messages/"
    assert get_code(eve.call("DELETE", f"{path}{hers['id']}/")) == (403, "forbidden")
    assert ada.call("DELETE", f"{path}{mine['id']}/").status_code == 204
    assert get_code(eve.call("PATCH", f"{path}{mine['id']}/", {"text": "again"})) == (404, "not_found")
    assert get_code(eve.call("DELETE", f"{path}{mine['id']}/")) == (404, "not_found")
    gone = list_messages(eve, room)["items"][-1]
    assert (gone["seq"], gone["text"], gone["deleted"]) == (3, "", True)
    assert "Eve's" not in eve.call("GET", f"/api/rooms/{room['id']}/changes/").get_data(as_text=True)


def test_message_of_another_room_is_not_found(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    other = make_room(ada)
    message = post(ada, other, "a canary")
    for person in (ada, eve):
        path = f"/api/rooms/{room['id']}/messages/"
        assert get_code(person.call("PATCH", f"{path}{message['id']}/", {"text": "x"})) == (404, "not_found")
        assert get_code(person.call("DELETE", f"{path}{message['id']}/")) == (404, "not_found")
        assert get_code(person.call("POST", path, {"text": "x", "reply_to": message["id"]})) == (404, "not_found")
    assert list_texts(ada, other) == ["a canary"]


def test_history_since_joining_hides_what_was_before(app: Flask, ada: Person, eve: Person) -> None:
    room = make_room(ada)
    early = post(ada, room, "an early canary")
    add(ada, room, eve)
    assert list_texts(eve, room) == ["eve was added."]
    assert get_code(eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "x", "reply_to": early["id"]})) == (
        404,
        "not_found",
    )
    page = list_changes(eve, room)
    assert "canary" not in str(page)
    assert page["rev"] == get_room(eve, room["id"])["rev"]
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"history": "all"})
    assert list_texts(eve, room) == ["an early canary", "eve was added."]
    remove(ada, room, eve)
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"history": "joined"})
    add(ada, room, eve)
    assert list_texts(eve, room) == ["eve was added."]


def test_changes_tell_each_thing_once_and_as_it_is(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    first = post(ada, room, "one")
    post(ada, room, "two")
    ada.call("PATCH", f"/api/rooms/{room['id']}/messages/{first['id']}/", {"text": "1"})
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"topic": "Frogs"})
    page = list_changes(eve, room, 3)
    assert [(one["rev"], one["type"], one["op"]) for one in page["items"]] == [
        (5, "message", "upsert"),
        (6, "message", "upsert"),
        (7, "room", "upsert"),
    ]
    assert [one["data"].get("text") for one in page["items"]] == ["two", "1", None]
    assert (page["rev"], page["more"]) == (7, False)
    remove(ada, room, eve)
    gone, told = list_changes(ada, room, 7)["items"]
    assert gone == {"rev": 8, "type": "member", "op": "delete", "id": eve.id, "data": None}
    assert told["data"]["text"] == "eve was removed."
    pages = [list_changes(ada, room, 0, limit=3)]
    while pages[-1]["more"]:
        pages.append(list_changes(ada, room, pages[-1]["rev"], limit=3))
    assert [one["rev"] for page in pages for one in page["items"]] == [1, 3, 5, 6, 7, 8, 9]


def test_change_ahead_of_the_room_has_expired(ada: Person, room: dict[str, Any]) -> None:
    for path, headers in (("changes/?since_rev=9", {}), ("events/", {"Last-Event-ID": "9"})):
        response = ada.call("GET", f"/api/rooms/{room['id']}/{path}", headers=headers)
        assert get_code(response) == (410, "cursor_expired")
    bad = ada.call("GET", f"/api/rooms/{room['id']}/events/", headers={"Last-Event-ID": "-1"})
    assert bad.status_code == 400


def test_read_mark_moves_on_and_never_back(ada: Person, eve: Person, room: dict[str, Any]) -> None:
    for text in ("a", "b", "c"):
        post(eve, room, text)
    path = f"/api/rooms/{room['id']}/read/"
    marks = []
    for seq in (2, 1, 99):
        assert ada.call("PUT", path, {"seq": seq}).status_code == 204
        seen = get_room(ada, room["id"])
        marks.append((seen["read_seq"], seen["unread"]))
    assert marks == [(2, 2), (2, 2), (4, 0)]
    assert ada.call("PUT", path, {"seq": -1}).status_code == 400
    assert ada.call("PUT", f"/api/rooms/{uuid4()}/read/", {"seq": 1}).status_code == 404


def test_ten_messages_in_ten_seconds_and_no_more(make_app: MakeApp) -> None:
    client = make_app(RATELIMIT_ENABLED="true").test_client()
    ada = join(client, "ada")
    rooms = [make_room(ada) for _ in range(2)]
    for number in range(10):
        post(ada, rooms[0], str(number))
    refused = ada.call("POST", f"/api/rooms/{rooms[0]['id']}/messages/", {"text": "more"})
    assert get_code(refused) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) <= 10
    post(ada, rooms[1], "another room")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param({"text": ""}, "text", id="empty"),
        pytest.param({"text": " \n"}, "text", id="blank"),
        pytest.param({"text": "x" * 32_001}, "text", id="long"),
        pytest.param({"text": "x", "client_id": ""}, "client_id", id="empty client_id"),
        pytest.param({"text": "x", "author": {"id": str(uuid4())}}, "author", id="forged author"),
        pytest.param({"text": "x", "seq": 7}, "seq", id="forged number"),
    ],
)
def test_bad_messages_are_refused_by_name(
    ada: Person, room: dict[str, Any], values: dict[str, Any], field: str
) -> None:
    response = ada.call("POST", f"/api/rooms/{room['id']}/messages/", values)
    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == [field]


def test_numbers_have_no_gaps_when_all_write_at_once(
    app: Flask, ada: Person, eve: Person, room: dict[str, Any]
) -> None:
    def write_ten(person: Person, name: str) -> None:
        client = app.test_client()
        for number in range(10):
            own = Person(client, person.name, person.id, person.access_token, person.refresh_token)
            post(own, room, f"{name}{number}", client_id=f"{name}{number // 2}")

    threads = [threading.Thread(target=write_ten, args=(who, name)) for who in (ada, eve) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = list_messages(ada, room, "?limit=100")["items"]
    assert [one["seq"] for one in messages] == list(range(1, 22))  # each `client_id` came twice
    assert [one["rev"] for one in messages] == list(range(3, 24))
    assert get_room(ada, room["id"])["rev"] == 23


def read_events(person: Person, room: dict[str, Any], events: list[str], last: str) -> None:
    """Read a stream's events into a list until it ends; an event is its name and its id."""
    response = person.call("GET", f"/api/rooms/{room['id']}/events/", headers={"Last-Event-ID": last}, buffered=False)
    for frame in response.iter_encoded():
        for event in frame.decode().strip().split("\n\n"):
            if not event.startswith(":"):
                lines = dict(line.split(": ", 1) for line in event.splitlines())
                events.append(f"{lines['event']} {lines.get('id', '')}".strip())


def test_stream_tells_messages_changes_and_the_end(app: Flask, ada: Person, eve: Person, room: dict[str, Any]) -> None:
    events: list[str] = []
    own = Person(app.test_client(), eve.name, eve.id, eve.access_token, eve.refresh_token)
    post(ada, room, "before")
    thread = threading.Thread(target=read_events, args=(own, room, events, "3"))
    thread.start()
    wait_for(lambda: events == ["message 4"])
    message = post(ada, room, "now")
    wait_for(lambda: events[1:] == ["message 5"])
    ada.call("DELETE", f"/api/rooms/{room['id']}/messages/{message['id']}/")
    wait_for(lambda: events[2:] == ["changed 6"])
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"topic": "Frogs"})
    wait_for(lambda: events[3:] == ["changed 7"])
    remove(ada, room, eve)
    thread.join(5)
    assert events[4:] == ["removed"]
