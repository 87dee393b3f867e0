"""Deletion of turns, conversations and the whole history by their user."""

import threading

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.base import db
from chatbot.database.transactions import read
from chatbot.models import Conversation, SyncChange
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import deletion
from tests.api.test_conversations import PATH, listed, titles
from tests.conftest import Person
from tests.database.test_compiled import statements
from tests.support.replica import Replica
from tests.support.turns import gated, running

pytestmark = pytest.mark.both_databases


def test_deletion_takes_the_turns_along(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    home = ada.says("one").get_json()["conversation_id"]
    for number in range(4):
        ada.says(f"m{number}", conversation_id=home)
    ada.says("other")
    assert ada.call("DELETE", f"{PATH}{home}/").status_code == 204
    assert titles(ada) == ["other"]
    assert [turn["user_message"] for turn in ada.history()] == ["other"]
    for method in ("GET", "PATCH", "DELETE"):
        assert ada.call(method, f"{PATH}{home}/", {} if method == "PATCH" else None).status_code == 404
    assert ada.says("hello?", conversation_id=home).status_code == 404
    with app.app_context(), read() as connection:
        rows = connection.execute(sa.select(SyncChange.type, SyncChange.deleted)).all()
    assert sorted((row.type, row.deleted) for row in rows) == [
        ("conversation", True),
        ("turn", False),  # which is its conversation's too
        *[("turn", True)] * 5,
    ]


def test_deletion_ends_a_running_answer(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " never")
    turn = running(ada)
    assert listed(ada)[0]["running_turn_id"] == turn["id"]
    assert ada.call("DELETE", f"{PATH}{turn['conversation_id']}/").status_code == 204
    gate.set()
    assert ada.call("GET", f"/api/chat/{turn['id']}/").status_code == 404
    assert listed(ada) == []


def test_turn_is_deleted_with_its_siblings_and_the_one_before_can_be_answered_again(ada: Person) -> None:
    first = ada.says("one").get_json()
    home = first["conversation_id"]
    second = ada.says("two", conversation_id=home).get_json()
    ada.call("POST", f"/api/chat/{second['id']}/regenerate/")
    assert ada.call("DELETE", f"/api/chat-history/{second['id']}/").status_code == 204
    assert [turn["id"] for turn in ada.history()] == [first["id"]]
    assert (listed(ada)[0]["turns"], listed(ada)[0]["last_turn_at"]) == (1, first["created_at"])
    assert ada.call("POST", f"/api/chat/{first['id']}/regenerate/").status_code == 200
    assert ada.call("DELETE", f"/api/chat-history/{second['id']}/").status_code == 404


def test_read_mark_falls_back_to_the_turn_before(ada: Person) -> None:
    first = ada.says("one").get_json()
    home = first["conversation_id"]
    later = [ada.says(message, conversation_id=home).get_json() for message in ("two", "three")]
    device = Replica(ada)
    device.sync()
    ada.call("PATCH", f"{PATH}{home}/", {"read_turn_id": later[0]["id"]})
    ada.call("DELETE", f"/api/chat-history/{later[1]['id']}/")
    assert listed(ada)[0]["read_turn_id"] == later[0]["id"]
    for turn, left in ((later[0], first["id"]), (first, None)):
        ada.call("DELETE", f"/api/chat-history/{turn['id']}/")
        assert listed(ada)[0]["read_turn_id"] == left
        device.sync()
        assert device.things["conversation", home]["read_turn_id"] == left


def test_whole_history_is_deleted_for_its_user_alone(app: Flask, ada: Person, eve: Person) -> None:
    for number in range(3):
        ada.says(f"m{number}")
    kept = eve.says("hers").get_json()
    assert ada.call("DELETE", "/api/chat-history/").status_code == 204
    assert (ada.history(), listed(ada)) == ([], [])
    assert [turn["id"] for turn in eve.history()] == [kept["id"]]
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 1


def test_deletion_takes_the_answer_of_a_regeneration_along(ada: Person) -> None:
    turn = ada.says("one").get_json()
    ada.call("POST", f"/api/chat/{turn['id']}/regenerate/")
    assert ada.call("DELETE", f"/api/chat-history/{turn['id']}/").status_code == 204
    assert ada.history() == []


def test_regeneration_and_deletion_lock_the_conversation_before_the_turn(context: Flask, ada: Person) -> None:
    """In two orders they would wait for each other on PostgreSQL."""
    turn = ada.says("one").get_json()
    for method, path in (
        ("POST", f"/api/chat/{turn['id']}/regenerate/"),
        ("DELETE", f"/api/chat-history/{turn['id']}/"),
    ):
        with statements() as sent:
            assert ada.call(method, path).status_code in {200, 204}
        locked = [one.split("FROM ", 1)[1].split()[0] for one in sent if one.rstrip().endswith("FOR UPDATE")]
        if db.engine.dialect.name == "postgresql":
            assert locked[0] == "conversations"


def test_words_of_a_deleted_message_are_in_no_title(ada: Person) -> None:
    secret = ada.says("SECRET words").get_json()
    home = secret["conversation_id"]
    ada.says("other words", conversation_id=home)
    shared = ada.call("POST", f"{PATH}{home}/shares/", {}).get_json()
    assert ada.call("DELETE", f"/api/chat-history/{secret['id']}/").status_code == 204
    assert titles(ada) == ["other words"]
    page = ada.client.get(f"/api/shared/{shared['token']}/").get_json()
    assert (page["title"], "SECRET" in str(page)) == (None, False)
    last = ada.history()[0]
    ada.call("DELETE", f"/api/chat-history/{last['id']}/")
    assert titles(ada) == [None]


def test_title_of_the_user_stays(ada: Person) -> None:
    turn = ada.says("words").get_json()
    ada.call("PATCH", f"{PATH}{turn['conversation_id']}/", {"title": "Mine"})
    ada.call("DELETE", f"/api/chat-history/{turn['id']}/")
    assert titles(ada) == ["Mine"]


def test_deletion_beside_a_repeated_key_has_one_order_of_locks(app: Flask, ada: Person) -> None:
    """The key was locked before the conversation, and the cascade of the deletion waited for it: a deadlock."""
    home = ada.says("one").get_json()["conversation_id"]
    body = {"message": "two", "conversation_id": home}
    headers = {"Idempotency-Key": "k"}
    turn = ada.call("POST", "/api/chat/", body, headers=headers).get_json()
    again = Person(app.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    answers: list[TestResponse] = []
    repeated = threading.Thread(target=lambda: answers.append(again.call("POST", "/api/chat/", body, headers=headers)))
    has_read_key = threading.Event()

    def before(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if "DELETE FROM chat_messages" in statement:
            repeated.start()
            if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
                assert has_read_key.wait(30)

    def after(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM idempotency_keys" in statement:
            has_read_key.set()

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", before)
        sa.event.listen(db.engine, "after_cursor_execute", after)
    assert ada.call("DELETE", f"/api/chat-history/{turn['id']}/").status_code == 204
    repeated.join()
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].get_json()["id"] != turn["id"]
    assert [one["user_message"] for one in ada.history()] == ["one", "two"]
