"""Statements that are compiled once have the effects of SQLAlchemy's own, and a chat takes few of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from chatbot.database.base import db
from chatbot.database.compiled import Prepared
from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, Conversation
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import conversation_rows, turn_statements
from tests.conftest import Person

pytestmark = pytest.mark.both_databases

HOME = UUID(int=7)
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)


def row(person: Person, **values: Any) -> dict[str, Any]:
    return {
        "user_id": UUID(person.id), "conversation_id": HOME, "user_message": "100 % sure? it's :named", "bot_response": "é\U0001f600",
        "status": "completed", "active": True, "listed": False, "created_at": MOMENT, **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        {"asked": None, "citations": None, "grounded": None, "completed_at": None, "lease_token": None, "prompt_tokens": None},
        {"asked": {"grounding": "strict"}, "citations": [{"quote": "é", "score": 0.5}], "grounded": 0.25, "completed_at": MOMENT,
         "lease_token": UUID(int=9), "prompt_tokens": 2**31 - 1},
    ],
)  # fmt: skip
def test_writes_what_sqlalchemy_writes(context: Flask, ada: Person, values: dict[str, Any]) -> None:
    insert = Prepared(sa.insert(ChatMessage))
    with write("test") as connection:
        connection.execute(sa.insert(Conversation).values(id=HOME, user_id=UUID(ada.id)))
        connection.execute(sa.insert(ChatMessage), row(ada, id=UUID(int=1), sequence=1, **values))
        insert.run(connection, row(ada, id=UUID(int=2), sequence=2, **values))
        insert.execute(connection, row(ada, id=UUID(int=3), sequence=3, **values))
    with read() as connection:
        columns = [one for one in ChatMessage.__table__.c if one.name not in {"id", "sequence"}]
        one, *others = (
            connection.execute(sa.select(*columns).where(ChatMessage.id == UUID(int=n))).one() for n in (1, 2, 3)
        )
    assert others == [one, one]
    assert (one.user_message, one.created_at, one.asked) == (row(ada)["user_message"], MOMENT, values["asked"])


def test_name_that_is_missing_later_is_an_error_and_writes_nothing(context: Flask, ada: Person) -> None:
    insert = Prepared(sa.insert(Conversation))
    whole = conversation_rows.build_row(Caller(UUID(ada.id), UUID(int=1), "user"), HOME, MOMENT)
    with write("test") as connection:
        insert.run(connection, whole)
    with pytest.raises(KeyError, match="last_sequence"), write("test") as connection:
        other = {**whole, "id": UUID(int=8)}
        del other["last_sequence"]
        insert.run(connection, other)
    with read() as connection:
        assert list(connection.scalars(sa.select(Conversation.id))) == [HOME]


def test_errors_are_those_of_sqlalchemy(context: Flask, ada: Person) -> None:
    insert = Prepared(sa.insert(ChatMessage))
    with pytest.raises(IntegrityError), write("test") as connection:
        insert.execute(connection, row(ada, id=UUID(int=1), sequence=1))  # its conversation is missing


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_is_written_outside_of_a_transaction(context: Flask, ada: Person) -> None:
    insert = Prepared(sa.insert(Conversation))
    with pytest.raises(InvalidRequestError), read() as connection:
        insert.execute(connection, {"id": HOME, "user_id": UUID(ada.id)})
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 0


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that are sent to the database meanwhile, with the ends of transactions."""
    sent: list[str] = []

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    def commit(connection: sa.Connection) -> None:
        if not connection.connection.autocommit:
            sent.append("COMMIT")

    def trace(connection: Any, *_: Any) -> None:  # by SQLite itself: some go to its driver
        connection.set_trace_callback(sent.append)

    def end_trace(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(None)

    if db.engine.dialect.name == "sqlite":
        listeners: dict[str, Any] = {"checkout": trace, "checkin": end_trace}
    else:
        listeners = {"before_cursor_execute": execute, "commit": commit}
    with listening(listeners):
        yield sent


@contextmanager
def listening(listeners: dict[str, Any]) -> Iterator[None]:
    """Listen to events of the engine for the time of a block."""
    for event, listener in listeners.items():
        sa.event.listen(db.engine, event, listener)
    try:
        yield
    finally:
        for event, listener in listeners.items():
            sa.event.remove(db.engine, event, listener)


def test_a_chat_asks_the_database_little(context: Flask, ada: Person) -> None:
    """Each statement is a way to PostgreSQL and back: they were eight."""
    ada.says("The first one looks the session up.")
    with statements() as sent:
        assert ada.says("hi").status_code == 200
    if db.engine.dialect.name == "postgresql":
        assert [one.split()[0] for one in sent] == ["WITH", "WITH"]
    else:  # conversation, turn, ledger, the user's counter, both changes; turn, ledger, counter, both changes
        opened = ["BEGIN", *["INSERT"] * 5, "COMMIT"]
        closed = ["BEGIN", *["UPDATE"] * 2, *["INSERT"] * 2, "COMMIT"]
        assert [one.split()[0] for one in sent] == [*opened, *closed]


def test_a_conversation_that_cannot_be_opened_whole_is_not_there_in_part(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ada.history()
    monkeypatch.setattr(
        turn_statements, "build_row", lambda *given, **options: {**ROW(*given, **options), "user_message": None}
    )
    assert ada.says("hi").status_code >= 409
    monkeypatch.undo()
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 0
    assert ada.history() == before


ROW = turn_statements.build_row


def test_an_upload_asks_the_database_little(context: Flask, ada: Person) -> None:
    """Each statement is a way to PostgreSQL and back, and SQLAlchemy's work for it: they were half of an upload."""
    home = ada.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"]
    with statements() as sent:
        made = ada.call("POST", "/api/documents/", {"title": "One", "text": "Words.", "collection_id": home})
    assert made.status_code == 202
    words = [one.split()[0] for one in sent if one.split()[0] not in {"BEGIN", "SET"}]
    # Its collection, a document of the same content, its place in the queue, the owner, what is counted and stored of
    # theirs, the document, its bytes; the collection's readers, their counter, a change of both.
    stored = ["SELECT", "SELECT", "SELECT", "SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"]
    assert words == [*stored, "SELECT", "INSERT", "INSERT", "INSERT", "COMMIT"]


def test_statements_made_once_for_a_role_ask_for_each_caller(context: Flask, ada: Person, eve: Person) -> None:
    mine, theirs = (
        person.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"] for person in (ada, eve)
    )
    body = {"title": "One", "text": "A word about tapirs."}
    for _ in range(2):
        assert ada.call("POST", "/api/documents/", {**body, "collection_id": theirs}).status_code == 404
        assert eve.call("POST", "/api/documents/", {**body, "collection_id": mine}).status_code == 404
        assert ada.call("POST", "/api/documents/", {**body, "collection_id": mine}).status_code in {200, 202}
        assert eve.call("POST", "/api/search/", {"query": "tapirs", "collection_ids": [mine]}).status_code == 404
        assert ada.call("POST", "/api/search/", {"query": "tapirs", "collection_ids": [mine]}).status_code == 200
