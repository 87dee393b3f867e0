"""The model, its temperature and the length of an answer, chosen for each message."""

from typing import Any

import pytest
from flask import Flask

from chatbot.rag.errors import UpstreamIncomplete, UpstreamRefused
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.records import TurnOptions
from chatbot.services.chat.state import get_chat_state
from tests.conftest import MakeApp, Person

pytestmark = pytest.mark.both_databases


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(OPENAI_MODELS="large, gpt-3.5-turbo, elsewhere@http://127.0.0.1:9/v1", OPENAI_MAX_TOKENS="500")


@pytest.fixture
def large(app: Flask, llm: MemoryLLM) -> MemoryLLM:
    """Return the model that is asked only by its name; `stream` shows which of the two answers."""
    with app.app_context():
        (model, _) = get_chat_state().llm().selectable
    assert isinstance(model, MemoryLLM)
    return model


def parameters(llm: MemoryLLM) -> dict[str, Any]:
    return dict(llm.requests[-1].parameters)


def test_message_chooses_model_temperature_and_length(ada: Person, llm: MemoryLLM, large: MemoryLLM) -> None:
    turn = ada.says("hello", model="large", temperature=0, max_tokens=500).get_json()
    assert turn["model"] == "large"
    assert parameters(large) == {"temperature": 0, "max_tokens": 500}
    assert llm.requests == []
    assert ada.says("hello", conversation_id=turn["conversation_id"]).get_json()["model"] == "gpt-3.5-turbo"
    assert parameters(llm) == {}
    assert len(large.requests) == 1


def test_other_answers_are_made_with_the_same_options(ada: Person, large: MemoryLLM) -> None:
    turn = ada.says("hello", model="large", temperature=1.5, instructions="Be short.").get_json()
    ada.call("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"instructions": "Be long."})
    again = ada.call("POST", f"/api/chat/{turn['id']}/regenerate/").get_json()
    assert again["model"] == "large"
    assert parameters(large) == {"temperature": 1.5}
    assert large.prompts[-1][-1].content == "Be long.\n\nhello"
    last = ada.says("so?", conversation_id=turn["conversation_id"], instructions="In verse.", model="large").get_json()
    ada.call("POST", f"/api/chat/{last['id']}/regenerate/")
    assert large.prompts[-1][-1].content == "In verse.\n\nso?"


def test_retry_of_a_key_is_made_with_the_same_options(ada: Person, large: MemoryLLM) -> None:
    large.fails(UpstreamIncomplete("cut"), "Hel")
    body = {"message": "hello", "model": "large", "max_tokens": 7}
    headers = {"Idempotency-Key": "one"}
    assert ada.call("POST", "/api/chat/", body, headers=headers).status_code == 502
    turn = ada.call("POST", "/api/chat/", body, headers=headers).get_json()
    assert (turn["status"], turn["model"], len(turn["siblings"])) == ("completed", "large", 1)
    assert parameters(large) == {"max_tokens": 7}
    assert ada.call("POST", "/api/chat/", {**body, "max_tokens": 8}, headers=headers).status_code == 422


def test_first_model_answers_where_the_chosen_one_fails(ada: Person, llm: MemoryLLM, large: MemoryLLM) -> None:
    large.fails(UpstreamRefused("no"))
    assert ada.says("hello", model="large").get_json()["model"] == "gpt-3.5-turbo"
    assert (len(large.requests), len(llm.requests)) == (1, 1)


@pytest.mark.parametrize("name", ["unknown", "memory:0", "collection:none", "Large"])
def test_unknown_model_is_404_and_opens_no_turn(ada: Person, name: str) -> None:
    response = ada.says("hello", model=name)
    assert (response.status_code, response.get_json()["code"]) == (404, "model_not_found")
    assert ada.history() == []


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "warm"},
        {"temperature": True},
        {"max_tokens": 0},
        {"max_tokens": 501},
        {"max_tokens": 1.5},
        {"max_tokens": "7"},
        {"model": ""},
        {"model": " "},
        {"model": "x" * 201},
        {"model": 7},
    ],
    ids=str,
)
def test_bad_options_are_400(ada: Person, options: dict[str, Any]) -> None:
    response = ada.says("hello", **options)
    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == list(options)
    assert ada.history() == []


def test_models_that_may_be_asked_for_are_listed(app: Flask, ada: Person) -> None:
    listed = [one["id"] for one in ada.call("GET", "/v1/models").get_json()["data"]]
    assert listed[:3] == ["gpt-3.5-turbo", "large", "elsewhere"]
    completion = {"model": "large", "messages": [{"role": "user", "content": "hello"}]}
    assert ada.call("POST", "/v1/chat/completions", completion).get_json()["model"] == "large"


def test_options_are_stored_without_the_defaults() -> None:
    assert TurnOptions().to_json() is None
    options = TurnOptions(temperature=0.0, grounding="strict")
    assert options.to_json() == {"temperature": 0.0, "grounding": "strict"}
    assert TurnOptions.from_json(options.to_json()) == options
    assert TurnOptions.from_json(None) == TurnOptions()
