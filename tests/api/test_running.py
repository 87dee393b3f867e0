"""Turns that run: cancelled, held by a slot, drained, in a conversation that waits."""

import threading
import time
from uuid import uuid4

import pytest
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read
from chatbot.models import ChatMessage, TurnLogPiece
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat import execution, following, maintenance
from chatbot.services.chat.state import get_chat_state
from chatbot.web import sse
from tests.conftest import Person, join
from tests.support.processes import Event
from tests.support.turns import ended, gated, resumed, running, wait_for_text

pytestmark = pytest.mark.both_databases


def test_cancel_keeps_the_text_and_counts_its_tokens(ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " two", " never")
    turn = running(ada)
    wait_for_text(ada, turn["id"], "one two")
    started = time.monotonic()
    response = ada.call("POST", f"/api/chat/{turn['id']}/cancel/")
    assert (response.status_code, response.get_data()) == (202, b"")
    turn = ended(ada, turn["id"])
    assert time.monotonic() - started < 2
    assert (turn["status"], turn["bot_response"]) == ("cancelled", "one two never"[:7])
    assert turn["usage"]["completion_tokens"] > 0
    assert turn["usage"]["prompt_tokens"] > turn["usage"]["completion_tokens"]
    assert "error" not in turn
    assert resumed(ada, turn["id"], 0)[-1][1] == "done"
    again = ada.call("POST", f"/api/chat/{turn['id']}/cancel/")
    assert (again.status_code, again.get_json()["code"]) == (409, "not_running")


def test_cancel_closes_an_open_fence(ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "```html\n<img src='x'>", " never")
    turn = running(ada)
    ada.call("POST", f"/api/chat/{turn['id']}/cancel/")
    turn = ended(ada, turn["id"])
    assert (turn["status"], turn["bot_response"]) == ("cancelled", "```html\n<img src='x'>\n```")


def test_cancel_through_another_process_is_obeyed(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " never")
    turn = running(ada)
    with app.app_context():
        mine = get_chat_state().running_turns
        one = mine.pop(execution.UUID(turn["id"]))
        assert ada.call("POST", f"/api/chat/{turn['id']}/cancel/").status_code == 202
        assert not one.cancel_token.requested
        mine[one.turn.id] = one
        maintenance.apply_cancellations()
    assert ended(ada, turn["id"])["status"] == "cancelled"


def test_cancel_of_somebody_elses_turn_is_404_and_changes_nothing(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    for turn_id in (turn["id"], uuid4()):
        assert eve.call("POST", f"/api/chat/{turn_id}/cancel/").status_code == 404
    gate.set()
    assert ended(ada, turn["id"])["status"] == "completed"


def test_second_message_to_a_running_conversation_is_409(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    response = ada.says("And?", conversation_id=turn["conversation_id"], stream=True)
    assert (response.status_code, response.get_json()["code"]) == (409, "conversation_busy")
    assert ada.call("POST", f"/api/chat/{turn['id']}/regenerate/", {}).get_json()["code"] == "conversation_busy"
    gate.set()
    ended(ada, turn["id"])
    assert len(ada.history()) == 1


def test_stream_ends_when_its_session_does(
    app: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(sse, "CHECK_INTERVAL_SECONDS", 0.1)
    gate = gated(llm, "one", " two")
    turn = running(ada)
    leaver = threading.Timer(0.3, lambda: ada.call("POST", "/api/users/logout/"))
    leaver.start()
    found = resumed(ada, turn["id"], 0)
    leaver.join()
    assert (found[-1][1], found[-1][2]["code"]) == ("error", "session_ended")
    gate.set()
    again = app.test_client().post(
        "/api/users/login/", json={"email": "ada@example.org", "password": "a sound passphrase"}
    )
    ada.access_token = again.get_json()["access_token"]
    assert ended(ada, turn["id"])["bot_response"] == "one two"


def test_no_slot_is_503_and_nothing_is_written(make_app, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(TURN_SLOTS="1")
    with app.app_context():
        llm = get_chat_state().llm().models[0]
    person = join(app.test_client(), "ada")
    gate = gated(llm, "one", " two")
    turn = running(person)
    for again in (person.says("More"), person.call("POST", f"/api/chat/{turn['id']}/regenerate/", {})):
        assert (again.status_code, again.get_json()["code"]) == (503, "busy")
        assert again.headers["Retry-After"]
    gate.set()
    ended(person, turn["id"])
    assert len(person.history()) == 1
    assert person.says("").status_code == 400
    assert person.says("Now", conversation_id=str(uuid4())).status_code == 404  # both gave their slot back
    assert person.says("Now").status_code == 200


def test_drain_closes_what_runs_and_takes_nothing_new(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " never")
    turn = running(ada)
    read: list[Event] = []
    reader = threading.Thread(target=lambda: read.extend(resumed(ada, turn["id"], 0)))
    reader.start()
    with app.app_context():
        execution.drain(0.3)
    reader.join(10)
    assert (read[-1][1], read[-1][2]["code"], read[-1][2]["retryable"]) == ("error", "interrupted", True)
    turn = ended(ada, turn["id"])
    assert (turn["status"], turn["bot_response"], turn["error"]["code"]) == ("interrupted", "one", "interrupted")
    response = ada.says("More")
    assert (response.status_code, response.get_json()["code"]) == (503, "busy")
    ready = ada.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["checks"]["turns"]) == (503, "draining")
    assert ada.history()[0]["id"] == turn["id"]


def test_text_of_several_turns_is_saved_at_once_and_gone_with_their_end(
    app: Flask, ada: Person, llm: MemoryLLM
) -> None:
    gates = []
    opened = []
    for name in ("a", "b", "c"):
        gates.append(gated(llm, f"{name}1", f" {name}2"))
        opened.append(running(ada))
        wait_for_text(ada, opened[-1]["id"], f"{name}1")
    with app.app_context():
        assert maintenance.flush_texts() == 3
        assert maintenance.flush_texts() == 0
        with read() as connection:
            rows = connection.execute(
                db.select(TurnLogPiece.start, TurnLogPiece.text).order_by(TurnLogPiece.text)
            ).all()
            statuses = connection.scalars(db.select(ChatMessage.status)).all()
    assert [tuple(row) for row in rows] == [(0, "a1"), (0, "b1"), (0, "c1")]
    assert statuses == ["streaming"] * 3
    assert [turn["bot_response"] for turn in ada.history()] == ["a1", "b1", "c1"]
    for gate, turn, name in zip(gates, opened, "abc", strict=True):
        gate.set()
        assert ended(ada, turn["id"])["bot_response"] == f"{name}1 {name}2"
    with app.app_context(), read() as connection:
        assert connection.execute(db.select(TurnLogPiece.__table__)).all() == []


def test_end_that_the_database_refuses_leaves_a_failed_turn(
    app: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.says("Hello")
    monkeypatch.setattr(llm, "name", "m\0x")  # which PostgreSQL cannot store, and SQLite can
    response = ada.says("hi")
    (turn,) = ada.history()
    if app.config["DATABASE_URL"].startswith("sqlite"):
        assert turn["status"] == "completed"
        return
    assert (response.status_code, response.get_json()["code"]) == (502, "upstream_garbled")
    assert (turn["status"], turn["error"]["code"]) == ("failed", "upstream_garbled")
