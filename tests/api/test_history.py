"""Routes for the chat history."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from chatbot.database.base import db
from chatbot.database.transactions import write
from chatbot.errors import InvalidInput
from chatbot.models import ChatMessage
from chatbot.web import pagination
from tests.conftest import Person

pytestmark = pytest.mark.both_databases


def pages(person: Person, query: str) -> list[list[str]]:
    """Read all pages and return their messages."""
    found = []
    cursor = ""
    while True:
        body = person.call("GET", f"/api/chat-history/?{query}{cursor}").get_json()
        found.append([turn["user_message"] for turn in body["items"]])
        if body["next_cursor"] is None:
            return found
        cursor = f"&cursor={body['next_cursor']}"


def test_empty_history_is_a_page(ada: Person) -> None:
    assert ada.call("GET", "/api/chat-history").get_json() == {"items": [], "next_cursor": None}


def test_pages_are_in_order_and_complete_even_at_one_moment(app: Flask, ada: Person) -> None:
    for number in range(7):
        ada.says(f"m{number}")
    with app.app_context(), write("test") as connection:  # three of them at the very same moment
        connection.execute(
            db.update(ChatMessage)
            .where(ChatMessage.user_message.in_(["m2", "m3", "m4"]))
            .values(created_at=datetime(2026, 1, 2, tzinfo=UTC))
        )
    expected = ["m2", "m3", "m4", "m0", "m1", "m5", "m6"]
    for limit in (1, 2, 3, 7, 100):
        assert sum(pages(ada, f"limit={limit}"), []) == expected
        assert sum(pages(ada, f"limit={limit}&order=desc"), []) == expected[::-1]
    assert [len(page) for page in pages(ada, "limit=3")] == [3, 3, 1]


def test_page_goes_on_where_it_ended_when_something_new_comes(ada: Person) -> None:
    for number in range(3):
        ada.says(f"m{number}")
    first = ada.call("GET", "/api/chat-history/?limit=2&order=desc").get_json()
    ada.says("new")
    second = ada.call("GET", f"/api/chat-history/?limit=2&order=desc&cursor={first['next_cursor']}").get_json()
    assert [turn["user_message"] for turn in second["items"]] == ["m0"]


def test_only_own_turns_are_listed(ada: Person, eve: Person) -> None:
    ada.says("canary-of-ada")
    eve.says("canary-of-eve")
    assert [turn["user_message"] for turn in ada.history()] == ["canary-of-ada"]
    assert [turn["user_message"] for turn in eve.history()] == ["canary-of-eve"]
    cursor = pagination.encode((datetime(2020, 1, 1, tzinfo=UTC), UUID(int=0)))
    assert [turn["user_message"] for turn in eve.history(f"?cursor={cursor}")] == ["canary-of-eve"]


def test_one_conversation_is_listed(ada: Person, eve: Person) -> None:
    conversation = ada.says("one").get_json()["conversation_id"]
    ada.says("elsewhere")
    ada.says("two", conversation_id=conversation)
    query = f"?conversation_id={conversation}"
    assert [turn["user_message"] for turn in ada.history(query)] == ["one", "two"]
    for person, other in ((eve, conversation), (ada, uuid4())):
        response = person.call("GET", f"/api/chat-history/?conversation_id={other}")
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=1.5", "limit"),
        ("order=up", "order"), ("conversation_id=5", "conversation_id"), ("cursor=", "cursor"), ("cursor=x", "cursor"),
        ("cursor=%C3%A9", "cursor"), ("cursor=" + "A" * 33, "cursor"), ("cursor=" + "_" * 32, "cursor"),
    ],
)  # fmt: skip
def test_bad_query_is_400_and_names_the_parameter(ada: Person, query: str, field: str) -> None:
    response = ada.call("GET", f"/api/chat-history/?{query}")
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [field])


def test_unknown_query_parameter_is_ignored(ada: Person) -> None:
    assert ada.call("GET", "/api/chat-history/?utm_source=x").status_code == 200


def test_history_uses_its_index(app: Flask, ada: Person) -> None:
    ada.says("Hi")
    with app.app_context(), db.engine.connect() as connection:
        where = f"WHERE user_id = '{UUID(ada.id).hex}' ORDER BY created_at, id LIMIT 51"
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_sort = off")
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        plan = str(connection.exec_driver_sql(f"{explain} SELECT * FROM chat_messages {where}").fetchall())
    assert "ix_chat_messages_user_id_created_at_id" in plan
    assert "TEMP B-TREE" not in plan


@given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)), st.uuids())
def test_cursor_comes_back_as_its_key(moment: datetime, identity: UUID) -> None:
    key = (moment.replace(tzinfo=UTC), identity)
    assert pagination.decode(pagination.encode(key)) == key


def test_cursor_beyond_time_is_none() -> None:
    with pytest.raises(InvalidInput):
        pagination.decode(pagination.encode((pagination.EPOCH + timedelta(days=1), UUID(int=0)))[:-3])
