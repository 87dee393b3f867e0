"""Maintenance of running turns: by the index, and after lost answers of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, TurnLogPiece
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import generation, history, maintenance
from chatbot.services.chat import turns as chat
from chatbot.services.chat.records import OpenedTurn, Outcome, Turn
from chatbot.services.chat.state import get_chat_state
from tests.conftest import Person
from tests.support.databases import count_waiting
from tests.support.plans import explain
from tests.support.turns import ended, gated, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_upkeep_reads_the_running_turns_alone(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    """A scan of the whole table would hold the hub, and every stream, once a second."""
    gate = gated(llm, "one", " two")
    turn = running(ada)

    def work() -> None:
        for one in (maintenance.apply_cancellations, maintenance.keep_leases, maintenance.flush_texts):
            one()

    plans = explain(work, "chat_messages")
    assert len(plans) >= 4
    assert [statement for statement, plan in plans if "SCAN chat_messages" in plan and "INDEX" not in plan] == []
    gate.set()
    ended(ada, turn["id"])


def test_saving_goes_on_after_a_commit_whose_acknowledgement_was_lost(
    context: Flask, ada: Person, llm: MemoryLLM
) -> None:
    gate = gated(llm, "one", " two", " three")
    turn = running(ada)
    one = get_chat_state().running_turns[UUID(turn["id"])]
    wait_for(lambda: one.text.length >= 7)
    with write("test") as connection:  # as if it had been committed, and we had not heard of it
        connection.execute(db.insert(TurnLogPiece).values(turn_id=one.turn.id, start=0, text="one"))
    maintenance.flush_texts()
    assert one.saved_length == 3
    maintenance.flush_texts()
    with read() as connection:
        rows = connection.execute(db.select(TurnLogPiece.start, TurnLogPiece.text).order_by(TurnLogPiece.start)).all()
    assert [tuple(row) for row in rows] == [(0, "one"), (3, " two")]
    gate.set()
    assert ended(ada, turn["id"])["bot_response"] == "one two three"


def test_end_that_was_committed_unheard_is_told_as_it_is(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = chat.close_turn

    def twice(caller: Caller, turn: OpenedTurn, outcome: Outcome, **options: Any) -> Turn:
        close(caller, turn, outcome, **options)
        return close(caller, turn, outcome, **options)

    monkeypatch.setattr(generation.chat, "close_turn", twice)
    assert ada.says("Hi").get_json()["status"] == "completed"


def test_lease_that_another_process_took_stops_the_turn(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " never")
    turn = running(ada)
    one = get_chat_state().running_turns[UUID(turn["id"])]
    with write("test") as connection:
        connection.execute(db.update(ChatMessage).values(lease_expires_at=now() - timedelta(seconds=1)))
    assert maintenance.close_abandoned() == 1
    maintenance.renew_leases()
    assert one.cancel_token.requested
    assert ended(ada, turn["id"])["status"] == "interrupted"


def test_abandoned_text_gets_its_fence_closed(context: Flask, ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "```html\n<img src='x'>", " never")
    turn = running(ada)
    maintenance.flush_texts()
    with write("test") as connection:
        connection.execute(db.update(ChatMessage).values(lease_expires_at=now() - timedelta(seconds=1)))
    assert maintenance.close_abandoned() == 1
    maintenance.renew_leases()
    wait_for_end(context, UUID(turn["id"]))
    assert ada.history()[0]["bot_response"] == "```html\n<img src='x'>\n```"


def wait_for_end(app: Flask, turn_id: UUID) -> None:
    with app.app_context():
        wait_for(lambda: turn_id not in get_chat_state().running_turns)


def test_turn_that_ends_while_it_is_looked_at_is_not_shown_empty(
    app: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gated(llm, "one", " two")
    running(ada)
    with app.app_context():
        maintenance.flush_texts()
    real = history.read_logged_text

    def late(connection: sa.Connection, turn_id: UUID) -> str:
        gate.set()
        wait_for_end(app, turn_id)
        return real(connection, turn_id)

    monkeypatch.setattr(history, "read_logged_text", late)
    (seen,) = ada.history()
    # One snapshot on SQLite; on PostgreSQL the row is of before and what is saved of after.
    postgresql = app.config["DATABASE_URL"].startswith("postgresql")
    expected = ("completed", "one two") if postgresql else ("streaming", "one")
    assert (seen["status"], seen["bot_response"]) == expected


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_piece_that_is_saved_while_its_turn_ends_is_not_left_behind(
    app: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gated(llm, "one", " two")
    turn_id = UUID(running(ada)["id"])
    real = maintenance.write

    @contextmanager
    def slow(step: str, **options: Any) -> Iterator[sa.Connection]:
        with real(step, **options) as connection:
            yield connection
            gate.set()
            wait_for(lambda: count_waiting() == 1)  # the turn's end waits for this transaction

    with app.app_context():
        maintenance.flush_texts()  # its row is not touched by the next one
        get_chat_state().running_turns[turn_id].text.append(" more")
        monkeypatch.setattr(maintenance, "write", slow)
        maintenance.flush_texts()
        wait_for_end(app, turn_id)
        with read() as connection:
            assert connection.scalars(sa.select(ChatMessage.status)).all() == ["completed"]
            assert connection.scalars(sa.select(TurnLogPiece.text)).all() == []
