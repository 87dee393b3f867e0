"""Search in a user's own history: `q` of the chat history and of the conversations."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.base import db
from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import ChatMessage
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.operations import retention
from tests.conftest import MakeApp, Person, join
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases

HISTORY = "/api/chat-history/"
CONVERSATIONS = "/api/conversations/"


def search(person: Person, words: str, path: str = HISTORY, **query: str) -> list[dict[str, Any]]:
    response = call(person, path, q=words, **query)
    assert response.status_code == 200, response.get_json()
    items: list[dict[str, Any]] = response.get_json()["items"]
    return items


def call(person: Person, path: str, **query: str) -> TestResponse:
    return person.call("GET", path, query_string=query)


def messages(person: Person, words: str, **query: str) -> list[str]:
    return [turn["user_message"] for turn in search(person, words, **query)]


def titles(person: Person, words: str, **query: str) -> list[str]:
    return [one["title"] for one in search(person, words, CONVERSATIONS, **query)]


def shown(turn: dict[str, Any]) -> list[str]:
    return [turn["snippet"][start:end] for start, end in turn["highlights"]]


def answer(person: Person, llm: MemoryLLM, message: str, text: str, **fields: Any) -> dict[str, Any]:
    llm.says(text)
    turn: dict[str, Any] = person.says(message, **fields).get_json()
    return turn


def test_turns_are_found_by_message_and_answer(ada: Person, llm: MemoryLLM) -> None:
    turn = answer(ada, llm, "When is it open?", "The **library** opens at nine. " + "Then more follows. " * 30)
    other = answer(ada, llm, "The library's address?", "Main street.")
    found = search(ada, "Libraries OPENING")
    assert found == [{**turn, "snippet": found[0]["snippet"], "highlights": found[0]["highlights"]}]
    assert shown(found[0]) == ["library", "opens"]
    assert len(found[0]["snippet"]) <= 200
    assert found[0]["snippet"] in turn["bot_response"]
    assert {one["id"] for one in search(ada, "library")} == {turn["id"], other["id"]}
    assert search(ada, "library", conversation_id=other["conversation_id"])[0]["id"] == other["id"]
    assert len(search(ada, "library", limit="1")) == 1
    assert "snippet" not in ada.history()[0]


def test_turns_with_all_words_come_alone_and_others_where_there_are_none(ada: Person) -> None:
    for message in ("red apples", "red pears", "green plums"):
        ada.says(message)
    assert messages(ada, "red pears") == ["red pears"]
    assert sorted(messages(ada, "red grapes")) == ["red apples", "red pears"]
    assert messages(ada, "grapes") == []


def test_of_equals_the_newest_is_first(ada: Person) -> None:
    for _ in range(3):
        ada.says("bees")
    times = [turn["created_at"] for turn in search(ada, "bees", order="asc")]
    assert times == sorted(times, reverse=True)


def test_words_of_other_languages_are_found(ada: Person) -> None:
    for text in ("図書館の開館時間は何時ですか", "Otel İstanbul'da", "the cafe\u0301", "a **bold** word"):
        ada.says(text)
    for words, place in (("開館時間", "開館時間"), ("istanbul", "İstanbul"), ("café", "cafe\u0301"), ("bold", "bold")):
        (turn,) = search(ada, words)
        assert shown(turn) == [place]


def test_query_without_words_finds_nothing(ada: Person) -> None:
    ada.says("What now?!")
    assert search(ada, "?!") == []
    assert search(ada, "?!", CONVERSATIONS) == []


def test_bad_query_is_refused_by_name(ada: Person) -> None:
    for path in (HISTORY, CONVERSATIONS):
        for words in ("", "   ", "a" * 401, "a\0b"):
            response = call(ada, path, q=words)
            assert response.status_code == 400
            assert "q" in response.get_json()["errors"]


def test_search_has_one_page(ada: Person) -> None:
    ada.says("one bee")
    ada.says("two bees")
    cursor = call(ada, HISTORY, limit="1").get_json()["next_cursor"]
    response = call(ada, HISTORY, q="bees", cursor=cursor)
    assert (response.status_code, response.get_json()["errors"]) == (400, {"cursor": ["A search has one page."]})
    assert call(ada, HISTORY, q="bees", limit="1").get_json()["next_cursor"] is None


def test_others_turns_are_never_found(ada: Person, eve: Person) -> None:
    turn = ada.says("canary of ada").get_json()
    eve.says("another bird")
    assert search(eve, "canary") == []
    assert search(eve, "canary", CONVERSATIONS) == []
    assert call(eve, HISTORY, q="canary", conversation_id=turn["conversation_id"]).status_code == 404
    assert messages(ada, "canary") == ["canary of ada"]


def test_deleted_turns_are_gone_at_once(app: Flask, ada: Person) -> None:
    home = ada.says("canary one").get_json()["conversation_id"]
    turn = ada.says("canary two", conversation_id=home).get_json()
    assert len(search(ada, "canary")) == 2
    ada.call("DELETE", f"{HISTORY}{turn['id']}/")
    assert messages(ada, "canary") == ["canary one"]
    assert search(ada, "two", CONVERSATIONS) == []
    ada.call("DELETE", f"{CONVERSATIONS}{home}/")
    assert search(ada, "canary") == search(ada, "canary", CONVERSATIONS) == []


def test_purged_turns_are_gone_at_once_and_pinned_ones_stay(app: Flask, ada: Person) -> None:
    home = ada.says("canary old").get_json()["conversation_id"]
    ada.says("robin", conversation_id=home)
    kept = ada.says("canary pinned").get_json()["conversation_id"]
    ada.call("PATCH", f"{CONVERSATIONS}{kept}/", {"pinned": True})
    assert len(search(ada, "canary")) == 2
    with app.app_context():
        with write("test") as connection:
            old = ChatMessage.user_message.startswith("canary")
            moment = now() - timedelta(days=31)
            connection.execute(db.update(ChatMessage).where(old).values(created_at=moment))
        retention.purge(timedelta(days=30))
    ada.call("PATCH", f"{CONVERSATIONS}{home}/", {"title": "birds"})
    assert messages(ada, "canary") == ["canary pinned"]
    assert titles(ada, "canary") == ["canary pinned"]
    assert titles(ada, "robin") == ["birds"]


def test_running_turn_is_found_by_its_message_and_then_by_its_answer(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " needle")
    turn = running(ada)
    assert [one["id"] for one in search(ada, "hi")] == [turn["id"]]
    assert search(ada, "needle") == []
    gate.set()
    ended(ada, turn["id"])
    assert [one["bot_response"] for one in search(ada, "needle")] == ["one needle"]


def test_only_the_active_sibling_is_found(ada: Person, llm: MemoryLLM) -> None:
    old = answer(ada, llm, "Hi", "first canary")
    assert len(search(ada, "canary")) == 1
    llm.says("second robin")
    new = ada.call("POST", f"/api/chat/{old['id']}/regenerate/", {}).get_json()
    assert search(ada, "canary") == []
    assert [(one["id"], one["siblings"]) for one in search(ada, "robin")] == [(new["id"], [old["id"]])]


def test_turns_of_v1_are_found_with_store_alone(ada: Person) -> None:
    for store in (False, True):
        body = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": f"canary {store}"}], "store": store}
        assert ada.call("POST", "/v1/chat/completions", body).status_code == 200
    assert messages(ada, "canary") == ["canary True"]
    assert titles(ada, "canary") == ["canary True"]


def test_conversations_are_found_by_title_and_turns(ada: Person) -> None:
    first = ada.says("bees and flowers").get_json()["conversation_id"]
    second = ada.says("hello").get_json()["conversation_id"]
    ada.says("where do bees live", conversation_id=second)
    ada.call("POST", CONVERSATIONS, {"title": "Bienen und bees", "tags": ["work"]})
    ada.says("wasps")
    assert titles(ada, "bees") == ["Bienen und bees", "hello", "bees and flowers"]
    assert titles(ada, "bees", tag="work") == ["Bienen und bees"]
    assert titles(ada, "bees live") == ["hello"]
    ada.call("PATCH", f"{CONVERSATIONS}{first}/", {"title": "insects", "archived": True})
    assert titles(ada, "insects", archived="true") == ["insects"]
    assert titles(ada, "bees", archived="true") == ["insects"]
    page = call(ada, CONVERSATIONS, q="bees", limit="1").get_json()
    rest = call(ada, CONVERSATIONS, q="bees", limit="1", cursor=page["next_cursor"]).get_json()
    assert [one["title"] for one in page["items"] + rest["items"]] == ["Bienen und bees", "hello"]
    assert rest["next_cursor"] is None


def test_other_processes_find_what_one_has_indexed(make_app: MakeApp) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    other = Person(make_app().test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    for number, (writer, reader) in enumerate([(ada, other), (other, ada)] * 2, 1):
        writer.says(f"bees {number}")
        assert len(search(reader, "bees")) == number
        assert len(search(writer, "bees")) == number
