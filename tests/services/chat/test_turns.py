"""Opening a turn also finds out whether there is anything to search, and the turn of a key."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import Collection, CollectionMember, IdempotencyKey, User
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import turns
from chatbot.services.chat.records import Outcome
from chatbot.services.knowledge.search import readable
from tests.conftest import Person

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("chunks", [0, 3])
@pytest.mark.parametrize("owner", ["ada", "eve", None])
@pytest.mark.parametrize("shared", ["nobody", "members", "everybody"])
def test_what_is_told_with_the_turn_is_what_a_search_would_look_into(
    context: Flask, ada: Person, eve: Person, chunks: int, owner: str | None, shared: str
) -> None:
    people = {"ada": ada, "eve": eve}
    home = uuid4()
    values = {"id": home, "name": "c", "owner_id": UUID(people[owner].id) if owner else None, "chunks": chunks}
    with write("test") as connection:
        if shared == "everybody":
            values["visibility"] = "shared"
        connection.execute(sa.insert(Collection).values(**values))
        if shared == "members":
            connection.execute(
                sa.insert(CollectionMember).values(
                    collection_id=home, user_id=UUID(ada.id), role="reader", state="accepted"
                )
            )
        connection.execute(sa.update(User).where(User.id == UUID(eve.id)).values(role="admin"))
    seen = set()
    for person, role in ((ada, "user"), (eve, "admin")):
        caller = Caller(UUID(person.id), UUID(int=1), role)
        first = turns.open_turn(caller, "hi").opened
        assert first is not None
        turns.close_turn(caller, first, Outcome("completed", "x"))
        next_one = turns.open_turn(caller, "and?", first.conversation_id).opened
        assert next_one is not None
        expected = bool(readable.find_searched_collections(caller))
        assert (first.has_searchable_collections, next_one.has_searchable_collections) == (expected, expected)
        seen.add(expected)
    assert not (chunks == 0 and True in seen)


def test_looking_a_key_up_deletes_nothing(context: Flask, ada: Person) -> None:
    """Between the look and the deletion a request may have used the key anew."""
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    key = idempotency.Key("r", "k", b"x" * 32, frozenset())
    opened = turns.open_turn(caller, "hi", key=key).opened
    assert opened is not None
    with write("test") as connection:
        connection.execute(sa.update(IdempotencyKey).values(created_at=now() - idempotency.LIFETIME - timedelta(1)))
    assert idempotency.find_committed(caller.user_id, key) is None
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey)) == 1
    turns.close_turn(caller, opened, Outcome("completed", "x"))
    again = turns.open_turn(caller, "hi", key=key)
    assert again.opened is not None
    assert idempotency.find_committed(caller.user_id, key) == again.turn_id


def test_turn_with_half_a_character_in_it_ends_as_failed(
    ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm, "name", "a\ud800b")
    answer = ada.call("POST", "/api/chat/", {"message": "hi"})
    assert (answer.status_code, answer.get_json()["code"]) == (502, "upstream_garbled")
    turn = ada.call("GET", "/api/chat-history/").get_json()["items"][0]
    assert turn["status"] == "failed"
    monkeypatch.undo()
    again = ada.call("POST", "/api/chat/", {"message": "hi", "conversation_id": turn["conversation_id"]})
    assert again.status_code == 200
