"""Deletion of turns, conversations and the whole history by their user."""

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import Conversation, SyncChange
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import deletion
from tests.api.test_conversations import PATH, listed, titles
from tests.conftest import Person
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
        ("conversation", False),
        ("conversation", True),
        ("turn", False),
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


def test_whole_history_is_deleted_for_its_user_alone(app: Flask, ada: Person, eve: Person) -> None:
    for number in range(3):
        ada.says(f"m{number}")
    kept = eve.says("hers").get_json()
    assert ada.call("DELETE", "/api/chat-history/").status_code == 204
    assert (ada.history(), listed(ada)) == ([], [])
    assert [turn["id"] for turn in eve.history()] == [kept["id"]]
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 1
