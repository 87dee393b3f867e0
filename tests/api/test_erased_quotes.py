"""Quotes and titles of an erased account's documents, which turns and messages of others have."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, RoomMessage, TurnTrace
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.copies import quotes
from chatbot.services.sync import changes
from tests.api.test_documents import HOURS, send, work
from tests.api.test_erasures import erase
from tests.conftest import Person
from tests.support.room_bot import ask
from tests.support.turns import ended, gated, read_turn
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.both_databases


def read_copies(app: Flask) -> str:
    """Return all citations and traces as they are stored."""
    with app.app_context(), read() as connection:
        columns = (ChatMessage.citations, RoomMessage.citations, TurnTrace.facts)
        return str([connection.scalars(sa.select(column)).all() for column in columns])


def test_turns_of_others_lose_the_quotes(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.services.chat.copies.quotes.ROWS", 2)
    shared = eve.call("POST", "/api/collections/", {"name": "Library", "visibility": "shared"}).get_json()["id"]
    for person, title, collection_id in ((eve, "Zebra hours", shared), (ada, "Own hours", None)):
        fields = {} if collection_id is None else {"collection_id": collection_id}
        send(person, title, HOURS.replace("library", "library of owls") if person is eve else HOURS, **fields)
    work(app)
    home = ada.call("GET", "/api/collections/").get_json()["items"]
    ids = [one["id"] for one in home]
    for number in range(5):
        ada.says(f"When is the library open on weekdays? {number}", collection_ids=ids)
    room = ada.call("POST", "/api/rooms/", {"name": "Lake", "collection_ids": ids}).get_json()
    ask(ada, room, "@bot When is the library open on weekdays?")
    assert "Zebra hours" in read_copies(app)
    assert "of owls" in read_copies(app)
    erase(app, eve)
    text = read_copies(app)
    assert "Zebra hours" not in text
    assert "of owls" not in text
    assert "Own hours" in text
    turns = ada.history()
    assert [len(turn["citations"]) > 0 for turn in turns] == [True] * len(turns)


def test_turn_that_ends_after_an_erasure_stores_nothing_of_it(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM
) -> None:
    shared = share_library(app, eve)
    gate = gated(llm, "The library of owls is open from nine to five ", "on weekdays [1].")
    question = {"message": "When is the library open on weekdays?", "collection_ids": [shared]}
    turn = ada.call("POST", "/api/chat/", question, headers={"Prefer": "respond-async"}).get_json()
    wait_for(lambda: read_turn(ada, turn["id"])["bot_response"], 10)
    erase(app, eve)
    gate.set()
    assert ended(ada, turn["id"])["citations"]
    text = read_copies(app)
    assert shared not in text
    assert "Zebra hours" not in text
    assert "nine to five" not in text


def share_library(app: Flask, person: Person) -> str:
    """Share a collection with a document; return its id."""
    shared: str = person.call("POST", "/api/collections/", {"name": "Library", "visibility": "shared"}).get_json()["id"]
    send(person, "Zebra hours", HOURS.replace("library", "library of owls"), collection_id=shared)
    work(app)
    return shared


def test_collection_is_deleted_beside_the_end_of_a_turn_that_cites_it(app: Flask, ada: Person) -> None:
    """Both lock the documents before the counter of the user's devices: in another order they would wait for good."""
    shared = share_library(app, ada)
    (document,) = ada.call("GET", f"/api/documents/?collection_id={shared}").get_json()["items"]
    cited: list[Any] = [{"document_id": document["id"]}]
    with app.app_context(), ThreadPoolExecutor(1) as pool:
        with write("test") as connection:
            assert quotes.lock_cited_documents(connection, [cited]) == set()
            deleted = pool.submit(ada.call, "DELETE", f"/api/collections/{shared}/")
            let_pass(0.5)
            changes.record(connection, UUID(ada.id), [changes.Change("turn", uuid4())])
        assert deleted.result().status_code == 204
        with write("test") as connection:
            assert quotes.lock_cited_documents(connection, [cited]) == {document["id"]}
