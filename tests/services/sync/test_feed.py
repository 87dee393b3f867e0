"""The feed between a first sync, pins and purges."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import ChatMessage
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.operations import retention
from tests.api.test_sync import MONTH, age, require_equal
from tests.conftest import Person
from tests.support.replica import Replica
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases


def test_changes_during_a_first_sync_follow_it(ada: Person) -> None:
    for number in range(3):
        turn = ada.says(f"m{number}").get_json()
    replica = Replica(ada, limit=2, window=1)
    assert replica.sync_page()
    ada.call("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"title": "New"})
    require_equal(replica)


def read_items(person: Person, cursor: str | None, query: str = "") -> list[dict[str, Any]]:
    """Return the items of one page behind a cursor."""
    found: list[dict[str, Any]] = person.call("GET", f"/api/sync/?since={cursor}{query}").get_json()["items"]
    return found


def test_turn_is_recorded_when_it_is_opened_and_when_it_ends(ada: Person) -> None:
    replica = Replica(ada)
    require_equal(replica)
    ada.says("one")
    before = read_items(ada, replica.cursor)[-1]["revision"]
    home = ada.says("two").get_json()["conversation_id"]
    ada.says("three", conversation_id=home)
    assert read_items(ada, replica.cursor)[-1]["revision"] == before + 4


def test_end_of_a_turn_brings_its_conversation(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    opened = Replica(ada)
    require_equal(opened)
    before = max(opened.revisions.values())
    gate.set()
    ended(ada, turn["id"])
    for query in ("", "&types=conversation", "&types=turn", "&limit=1"):
        items = read_items(ada, opened.cursor, query)
        kinds = {"&types=conversation": ["conversation"], "&types=turn": ["turn"]}.get(query, ["conversation", "turn"])
        assert [(item["type"], item["revision"]) for item in items] == [(kind, before + 1) for kind in kinds]
    require_equal(opened)


def test_conversation_comes_once_with_its_last_change(ada: Person) -> None:
    replica = Replica(ada)
    require_equal(replica)
    home = ada.says("one").get_json()["conversation_id"]
    for number in range(3):
        ada.says(f"m{number}", conversation_id=home)
    first, *turns = read_items(ada, replica.cursor)
    assert [item["type"] for item in (first, *turns)] == ["conversation", *["turn"] * 4]
    assert (first["data"]["turns"], first["revision"]) == (4, turns[-1]["revision"])
    ada.call("PATCH", f"/api/conversations/{home}/", {"title": "New"})
    *turns, last = read_items(ada, replica.cursor)
    assert [item["type"] for item in (*turns, last)] == [*["turn"] * 4, "conversation"]
    assert last["revision"] == turns[-1]["revision"] + 1
    require_equal(replica)


def test_conversations_without_records_come_in_a_first_sync(app: Flask, ada: Person) -> None:
    home = ada.says("one").get_json()["conversation_id"]
    for number in range(12):
        ada.says(f"m{number}", conversation_id=home)
    emptied = ada.says("two").get_json()
    ada.call("DELETE", f"/api/chat-history/{emptied['id']}/")
    for window in (0, 1, 20):
        for limit in (1, 5, 100):
            require_equal(Replica(ada, limit=limit, window=window))


def test_deleted_conversation_is_not_brought_by_its_turns(ada: Person) -> None:
    replica = Replica(ada)
    require_equal(replica)
    home = ada.says("one").get_json()["conversation_id"]
    ada.call("DELETE", f"/api/conversations/{home}/")
    assert [(item["type"], item["op"]) for item in read_items(ada, replica.cursor)] == [
        ("turn", "delete"),
        ("conversation", "delete"),
    ]
    require_equal(replica)


def test_answer_is_changed_by_the_purge_of_one_that_it_replaced(app: Flask, ada: Person) -> None:
    turn = ada.says("one").get_json()
    replica = Replica(ada)
    age(app, "one")
    ada.call("POST", f"/api/chat/{turn['id']}/regenerate/")
    require_equal(replica)
    with app.app_context():
        retention.purge(MONTH)
    require_equal(replica)
    assert [data["siblings"] for thing, data in replica.things.items() if thing[0] == "turn"] == [[]]


def test_purge_before_a_pin_is_told_after_it(app: Flask, ada: Person) -> None:
    home = ada.says("old").get_json()["conversation_id"]
    ada.says("young", conversation_id=home)
    age(app, "old")
    with app.app_context(), write("test") as connection:
        younger = sa.update(ChatMessage).where(ChatMessage.user_message == "young")
        connection.execute(younger.values(created_at=now() - timedelta(days=20)))
    replica = Replica(ada)
    require_equal(replica)
    with app.app_context():
        retention.purge(MONTH)
    ada.call("PATCH", f"/api/conversations/{home}/", {"pinned": True})
    with app.app_context():
        retention.purge(timedelta(days=10))
    require_equal(replica)
    assert [data["user_message"] for thing, data in replica.things.items() if thing[0] == "turn"] == ["young"]


def test_purge_behind_the_watermark_is_told(app: Flask, ada: Person) -> None:
    home = ada.says("pinned").get_json()["conversation_id"]
    age(app, "pinned")
    ada.call("PATCH", f"/api/conversations/{home}/", {"pinned": True})
    replica = Replica(ada)
    for days, is_pinned in ((30, True), (35, False)):
        ada.call("PATCH", f"/api/conversations/{home}/", {"pinned": is_pinned})
        with app.app_context():
            assert retention.count(timedelta(days=days)) == (not is_pinned)
            retention.purge(timedelta(days=days))
        require_equal(replica)
    assert not any(thing[0] == "turn" for thing in replica.things)
