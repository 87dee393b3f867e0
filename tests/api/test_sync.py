"""The feed of changes: replicas equal the server after each sync."""

import base64
import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database.transactions import write
from chatbot.database.types import now, uuid7
from chatbot.models import ChatMessage, SyncState
from chatbot.services.operations import retention
from tests.api.test_auth import log_in
from tests.api.test_documents import BEES, HOURS, send, work
from tests.conftest import PASSWORD, Person
from tests.support.replica import Replica, read_server
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

PATH = "/api/sync/"
MONTH = timedelta(days=30)


def require_equal(*replicas: Replica) -> None:
    for one in replicas:
        read_server(one.person)  # makes the default collection
        one.sync()
        assert one.things == read_server(one.person)


def age(app: Flask, message: str) -> None:
    """Let a turn be older than the purge leaves it."""
    with app.app_context(), write("test") as connection:
        statement = sa.update(ChatMessage).where(ChatMessage.user_message == message)
        connection.execute(statement.values(created_at=now() - timedelta(days=40)))


def test_first_sync_gets_all_and_the_next_ones_what_changed(app: Flask, ada: Person, eve: Person) -> None:
    for number in range(3):
        turn = ada.says(f"m{number}").get_json()
        ada.says(f"and {number}", conversation_id=turn["conversation_id"])
    send(ada, "Hours", HOURS)
    work(app)
    eve.says("hers")
    replica = Replica(ada)
    require_equal(replica)
    assert len([thing for thing in replica.things if thing[0] == "turn"]) == 6
    body = ada.call("GET", f"{PATH}?since={replica.cursor}").get_json()
    assert (body["items"], body["more"]) == ([], False)
    ada.call("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"title": "New"})
    (item,) = ada.call("GET", f"{PATH}?since={replica.cursor}").get_json()["items"]
    assert (item["type"], item["op"], item["data"]["title"]) == ("conversation", "upsert", "New")
    require_equal(replica)


def test_newest_conversations_come_first_with_their_last_turns(ada: Person) -> None:
    for number in range(4):
        turn = ada.says(f"m{number}").get_json()
    for number in range(12):
        ada.says(f"long {number}", conversation_id=turn["conversation_id"])
    body = ada.call("GET", f"{PATH}?window=2").get_json()
    shown = [item["data"].get("user_message", item["data"].get("title")) for item in body["items"]]
    assert shown == ["m3", *(f"long {number}" for number in range(11, 1, -1)), "m2", "m2"]
    assert body["more"]
    for limit in (1, 2, 7, 100):
        require_equal(Replica(ada, limit=limit, window=1))


def test_each_thing_comes_once_and_gone_ones_as_tombstones(app: Flask, ada: Person) -> None:
    replica = Replica(ada)
    first = ada.says("one").get_json()
    kept = ada.says("two").get_json()
    document = send(ada, "Hours", HOURS)
    work(app)
    require_equal(replica)
    path = f"/api/conversations/{kept['conversation_id']}/"
    for number in range(5):
        ada.call("PATCH", path, {"title": f"t{number}"})
    ada.call("DELETE", f"/api/conversations/{first['conversation_id']}/")
    ada.call("DELETE", f"/api/documents/{document['id']}/")
    items = ada.call("GET", f"{PATH}?since={replica.cursor}").get_json()["items"]
    assert [(item["type"], item["op"]) for item in items] == [
        ("conversation", "upsert"),
        ("turn", "delete"),
        ("conversation", "delete"),
        ("document", "delete"),
        ("collection", "upsert"),
    ]
    assert all("data" not in item for item in items if item["op"] == "delete")
    require_equal(replica)


def test_sibling_takes_the_place_of_the_turn_before(ada: Person) -> None:
    turn = ada.says("one").get_json()
    replica = Replica(ada)
    require_equal(replica)
    ada.call("POST", f"/api/chat/{turn['id']}/regenerate/")
    require_equal(replica)
    assert ("turn", turn["id"]) not in replica.things


def test_members_follow_the_documents_of_their_collections(app: Flask, ada: Person, eve: Person) -> None:
    home = ada.call("POST", "/api/collections/", {"name": "Books"}).get_json()["id"]
    send(ada, "Hours", HOURS, collection_id=home)
    replica = Replica(eve)
    require_equal(replica)
    ada.call("PUT", f"/api/collections/{home}/members/{eve.id}/", {"role": "reader"})
    require_equal(replica)
    assert not any(data.get("title") == "Hours" for data in replica.things.values())
    eve.call("POST", f"/api/invitations/{home}/accept/")
    require_equal(replica)
    work(app)
    send(ada, "Bees", BEES, collection_id=home)
    work(app)
    require_equal(replica)
    assert {data["title"] for thing, data in replica.things.items() if thing[0] == "document"} == {"Hours", "Bees"}
    ada.call("DELETE", f"/api/collections/{home}/members/{eve.id}/")
    require_equal(replica, Replica(ada))
    assert not any(thing[0] == "document" for thing in replica.things)


def test_watermark_tells_of_the_purge(app: Flask, ada: Person) -> None:
    pinned = ada.says("pinned").get_json()
    for message in ("old", "young", "unpinned"):
        home = ada.says(message).get_json()["conversation_id"]
    for message in ("pinned", "old", "unpinned"):
        age(app, message)
    replica = Replica(ada)
    require_equal(replica)
    ada.call("PATCH", f"/api/conversations/{pinned['conversation_id']}/", {"pinned": True})
    ada.call("PATCH", f"/api/conversations/{home}/", {"pinned": True})
    with app.app_context():
        retention.purge(MONTH)
    ada.call("PATCH", f"/api/conversations/{home}/", {"pinned": False})
    first, *others = ada.call("GET", f"{PATH}?since={replica.cursor}").get_json()["items"]
    assert (first["type"], set(first["data"]["kept_conversation_ids"])) == (
        "watermark",
        {home, pinned["conversation_id"]},
    )
    assert [(item["type"], item["op"]) for item in others].count(("turn", "delete")) == 0
    replica.sync()
    assert {thing for thing in replica.things if thing[0] == "turn"} == {
        thing for thing in read_server(ada) if thing[0] == "turn"
    }
    with app.app_context():
        retention.purge(MONTH)
    replica.sync()
    assert replica.things.keys() == read_server(ada).keys()


def test_watermark_of_the_longest_retention_is_before_1970(app: Flask, ada: Person) -> None:
    replica = Replica(ada)
    replica.sync()
    ada.says("kept")
    with app.app_context():
        retention.purge(timedelta(days=36_500))
    require_equal(replica)
    require_equal(replica, Replica(ada))


@pytest.mark.parametrize("since", ["x", "AAAA", "2026-11-29T00:00:00Z", "%00", "\0", "\N{HONEYBEE}"])
def test_what_is_no_cursor_is_400(ada: Person, since: str) -> None:
    for path in (PATH, f"{PATH}events/"):
        response = ada.call("GET", path, query_string={"since": since})
        assert (response.status_code, list(response.get_json()["errors"])) == (400, ["since"])


@pytest.mark.parametrize("since", ["A" * 60, "_" * 60, "A" * 61 + "AAA"])
def test_what_may_be_a_cursor_of_another_version_is_410(ada: Person, since: str) -> None:
    for path in (PATH, f"{PATH}events/"):
        assert ada.call("GET", path, query_string={"since": since}).status_code == 410


def test_cursor_of_another_user_or_time_is_410(app: Flask, ada: Person, eve: Person) -> None:
    ada.says("one")
    cursor = ada.call("GET", f"{PATH}?window=0").get_json()["next_cursor"]
    foreign = eve.call("GET", f"{PATH}?since={cursor}")
    assert (foreign.status_code, foreign.get_json()["code"]) == (410, "cursor_expired")
    forged = bytearray(base64.urlsafe_b64decode(cursor + "=="))
    forged[24] = 9  # of a position that never was
    text = base64.urlsafe_b64encode(forged).decode().rstrip("=")
    assert ada.call("GET", f"{PATH}?since={text}").status_code == 410
    with app.app_context(), write("test") as connection:  # a restored database has an epoch of its own
        connection.execute(sa.update(SyncState).values(epoch=uuid7()))
    assert ada.call("GET", f"{PATH}?since={cursor}").status_code == 410
    require_equal(Replica(ada))


def test_tombstones_are_kept_for_90_days(app: Flask, ada: Person, clock: time_machine.Traveller) -> None:
    turn = ada.says("one").get_json()
    replica = Replica(ada)
    replica.sync()
    ada.call("DELETE", f"/api/conversations/{turn['conversation_id']}/")
    clock.shift(timedelta(days=91))
    with app.app_context():
        retention.purge(MONTH, force=True)  # a clock that jumped is not believed otherwise
    access_token = log_in(ada.client).get_json()["access_token"]  # the one of then has expired
    later = Person(ada.client, ada.name, ada.id, access_token, "")
    assert later.call("GET", f"{PATH}?since={replica.cursor}").status_code == 410
    require_equal(Replica(later))


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "wait=26", "wait=-1", "window=-1", "types=song", "types=", "limit=x"]
)
def test_bad_queries_are_400(ada: Person, query: str) -> None:
    response = ada.call("GET", f"{PATH}?{query}")
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [query.partition("=")[0]])


def test_types_narrow_what_is_told(ada: Person) -> None:
    ada.says("one")
    body = ada.call("GET", f"{PATH}?types=turn,document").get_json()
    assert {item["type"] for item in body["items"]} == {"turn"}


def test_wait_ends_with_the_next_change(app: Flask, ada: Person) -> None:
    cursor = ada.call("GET", f"{PATH}?window=0").get_json()["next_cursor"]
    other = Person(app.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    found: list[Any] = []
    waiting = threading.Thread(
        target=lambda: found.append(other.call("GET", f"{PATH}?wait=20&since={cursor}").get_json())
    )
    waiting.start()
    ada.says("hello")
    waiting.join(10)
    assert found[0]["items"]
    assert ada.call("GET", f"{PATH}?wait=1&since={found[0]['next_cursor']}").status_code == 200


def test_wait_tells_nothing_after_the_session_has_ended(app: Flask, ada: Person) -> None:
    cursor = ada.call("GET", f"{PATH}?window=0").get_json()["next_cursor"]
    logged_in = {"email": "ada@example.org", "password": PASSWORD}
    other = app.test_client().post("/api/users/login/", json=logged_in).get_json()["access_token"]
    waiter = Person(app.test_client(), ada.name, ada.id, other, "")
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(waiter.call("GET", f"{PATH}?wait=20&since={cursor}")))
    waiting.start()
    wait_for(lambda: any(thread.name == "change watch" for thread in threading.enumerate()))
    ended = Person(app.test_client(), ada.name, ada.id, other, "")
    assert ended.call("POST", "/api/users/logout/").status_code == 204
    ada.says("a canary")
    waiting.join(15)
    assert found[0].status_code == 401
