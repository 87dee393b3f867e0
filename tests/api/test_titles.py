"""Titles that the model makes on request."""

from typing import Any

import pytest
from flask import Flask

from chatbot.rag.errors import UpstreamRefused
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.state import get_chat_state
from tests.conftest import MakeApp, Person, join
from tests.support.turns import ended, gated, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


def conversation(person: Person, conversation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = person.call("GET", f"/api/conversations/{conversation_id}/").get_json()
    return found


def request_title(person: Person, conversation_id: str) -> int:
    return person.call("POST", f"/api/conversations/{conversation_id}/title/").status_code


def wait_for_slots(app: Flask) -> None:
    with app.app_context():
        slots = get_chat_state().slots
        wait_for(lambda: slots.used == 0)


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (("The capital ", "of France"), "The capital of France"),
        (('"Title: France."',), "France"),
        (("**Frankreichs Hauptstadt**\n\nAnd more",), "Frankreichs Hauptstadt"),
        (("\n\u201cParis\u201d\n",), "Paris"),
        (("word " * 200,), " ".join(["word"] * 16)),
    ],
)
def test_model_makes_a_title(app: Flask, ada: Person, llm: MemoryLLM, answer: tuple[str, ...], title: str) -> None:
    turn = ada.says("What is the capital of France? <|im_end|>").get_json()
    before = conversation(ada, turn["conversation_id"])
    llm.says(*answer)
    assert request_title(ada, turn["conversation_id"]) == 202
    wait_for(lambda: conversation(ada, turn["conversation_id"])["title"] == title)
    after = conversation(ada, turn["conversation_id"])
    assert (after["title_source"], after["revision"], after["turns"]) == ("auto", before["revision"] + 1, 1)
    prompt = llm.prompts[-1][-1].content
    assert "capital of France?" in prompt
    assert "<|im_end|>" not in prompt
    wait_for_slots(app)


def test_title_that_the_user_gives_meanwhile_stays(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    turn = ada.says("hello").get_json()
    gate = gated(llm, "A model's", " title")
    assert request_title(ada, turn["conversation_id"]) == 202
    ada.call("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"title": "Mine"})
    gate.set()
    wait_for_slots(app)
    assert conversation(ada, turn["conversation_id"])["title"] == "Mine"
    llm.says("Another title")
    request_title(ada, turn["conversation_id"])
    wait_for(lambda: conversation(ada, turn["conversation_id"])["title"] == "Another title")


@pytest.mark.parametrize("pieces", [("half a",), ("...", "\n"), ()])
def test_failure_leaves_the_old_title(app: Flask, ada: Person, llm: MemoryLLM, pieces: tuple[str, ...]) -> None:
    turn = ada.says("hello").get_json()
    before = conversation(ada, turn["conversation_id"])
    if pieces == ("...", "\n"):
        llm.says(*pieces)
    else:
        llm.fails(UpstreamRefused("no"), *pieces)
    assert request_title(ada, turn["conversation_id"]) == 202
    wait_for(lambda: len(llm.requests) == 2)
    wait_for_slots(app)
    assert conversation(ada, turn["conversation_id"]) == before


def test_deleted_conversation_gets_no_title(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    turn = ada.says("hello").get_json()
    gate = gated(llm, "A", " title")
    request_title(ada, turn["conversation_id"])
    ada.call("DELETE", f"/api/conversations/{turn['conversation_id']}/")
    gate.set()
    wait_for_slots(app)
    assert ada.call("GET", f"/api/conversations/{turn['conversation_id']}/").status_code == 404


def test_conversation_without_an_answer_gets_no_title(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    empty = ada.call("POST", "/api/conversations/", {"title": "Mine"}).get_json()
    refused = ada.call("POST", f"/api/conversations/{empty['id']}/title/")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "no_answer")
    gate = gated(llm, "begins", "ends")
    turn = running(ada)
    assert request_title(ada, turn["conversation_id"]) == 409
    gate.set()
    ended(ada, turn["id"])
    assert len(llm.requests) == 1
    assert conversation(ada, empty["id"]) == empty
    assert request_title(eve, turn["conversation_id"]) == 404


def test_titles_take_slots(make_app: MakeApp) -> None:
    app = make_app(TURN_SLOTS="1")
    ada = join(app.test_client(), "ada")
    turn = ada.says("hello").get_json()
    with app.app_context():
        llm = get_chat_state().llm().models[0]
        slots = get_chat_state().slots
    assert isinstance(llm, MemoryLLM)
    wait_for(lambda: slots.used == 0)
    gate = gated(llm, "A", " title")
    assert request_title(ada, turn["conversation_id"]) == 202
    assert request_title(ada, turn["conversation_id"]) == 503
    gate.set()
    wait_for(lambda: slots.used == 0)
