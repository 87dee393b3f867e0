"""Long polls of a turn, for clients that cannot stream."""

import threading
from typing import Any

import pytest
from flask import Flask

from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support.turns import gated, running

pytestmark = pytest.mark.both_databases


def poll(person: Person, turn_id: str, query: str) -> dict[str, Any]:
    response = person.call("GET", f"/api/chat/{turn_id}/?{query}")
    assert response.status_code == 200
    turn: dict[str, Any] = response.get_json()
    return turn


def test_text_comes_from_an_offset_on(ada: Person) -> None:
    turn = ada.says("hello").get_json()
    whole = turn["bot_response"]
    assert poll(ada, turn["id"], "") == turn
    assert poll(ada, turn["id"], "after=0") == {**turn, "text_from": 0}
    assert poll(ada, turn["id"], "after=3&wait=25") == {**turn, "bot_response": whole[3:], "text_from": 3}
    assert poll(ada, turn["id"], f"after={len(whole)}")["bot_response"] == ""
    assert poll(ada, turn["id"], "after=999") == {**turn, "text_from": 0}  # a crash took text back


def test_offsets_count_code_points(ada: Person, llm: MemoryLLM) -> None:
    llm.says("\N{HONEYBEE}\N{HONEYBEE} two")
    turn = ada.says("hello").get_json()
    assert poll(ada, turn["id"], "after=1")["bot_response"] == "\N{HONEYBEE} two"


def test_poll_ends_with_more_text(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    first = poll(ada, turn["id"], "after=0&wait=25")
    assert (first["bot_response"], first["status"]) == ("one", "streaming")
    assert poll(ada, turn["id"], "after=3")["bot_response"] == ""
    other = Person(app.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(poll(other, turn["id"], "after=3&wait=25")))
    waiting.start()
    gate.set()
    waiting.join(10)
    assert (found[0]["bot_response"], found[0]["text_from"]) == (" two", 3)


@pytest.mark.parametrize("query", ["wait=26", "wait=-1", "wait=x", "after=-1", "after=x"])
def test_bad_queries_are_400(ada: Person, query: str) -> None:
    turn = ada.says("hello").get_json()
    response = ada.call("GET", f"/api/chat/{turn['id']}/?{query}")
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [query.partition("=")[0]])
