"""The routes for OpenAI's clients: accepted and refused requests, and the shape of answers."""

import json
from typing import Any

import pytest

from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support.turns import ended, gated

ASKED: dict[str, Any] = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "Hi"}]}


def ask(person: Person, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = person.call("POST", "/v1/chat/completions", {**ASKED, **fields}, headers=headers or {})
    return response.status_code, response.get_json()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 32_001}]}, "messages.0.content"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"base_url": "http://127.0.0.1:1"}, "base_url"),
        ({"api_base": "http://127.0.0.1:1"}, "api_base"),
        ({"tools": []}, "tools"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"model": None}, "model"),
    ],
)
def test_bad_input_is_400_in_openais_shape(ada: Person, llm: MemoryLLM, fields: dict[str, Any], param: str) -> None:
    status, body = ask(ada, **fields)
    assert (status, set(body), body["error"]["param"]) == (400, {"error"}, param)
    assert body["error"]["type"] == "invalid_request_error"
    assert not llm.prompts


def test_unknown_model_is_404_and_writes_nothing(ada: Person) -> None:
    status, body = ask(ada, model="gpt-9", store=True)
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert ada.history() == []


def test_turn_is_listed_with_store_alone(ada: Person) -> None:
    ask(ada)
    ask(ada, store=True)
    assert len(ada.history()) == 1


def test_key_is_honoured_whatever_the_metadata(ada: Person, llm: MemoryLLM) -> None:
    def ask_with(number: str) -> dict[str, Any]:
        body = json.dumps(ASKED)[:-1] + f', "metadata": {{"big": {number}}}}}'
        headers = {"Authorization": f"Bearer {ada.access_token}", "Idempotency-Key": "k"}
        answer: dict[str, Any] = ada.client.post(
            "/v1/chat/completions", data=body, headers=headers, content_type="application/json"
        ).get_json()
        return answer

    first = ask_with("1" * 25)
    assert first["choices"][0]["message"]["content"] == "Hi"
    assert ask_with("1" * 25) == first
    assert ask_with("1")["error"]["code"] == "idempotency_key_reused"
    assert len(llm.prompts) == 1


def test_cancelled_answer_is_no_whole_one(ada: Person, llm: MemoryLLM) -> None:
    gated(llm, "one", " never")
    response = ada.call("POST", "/v1/chat/completions", {**ASKED, "stream": True, "store": True})
    turn = ada.history()[0]
    ada.call("POST", f"/api/chat/{turn['id']}/cancel/")
    assert ended(ada, turn["id"])["status"] == "cancelled"
    body = response.get_data(as_text=True)
    assert '"content":"one"' in body
    assert '"code":"cancelled"' in body
    assert '"finish_reason":"stop"' not in body
    assert "[DONE]" not in body


def test_unknown_path_and_credential_have_openais_shape_too(ada: Person) -> None:
    assert ada.call("GET", "/v1/nothing").get_json()["error"]["code"] == "not_found"
    response = ada.client.get("/v1/models", headers={"Authorization": "Bearer x"})
    assert (response.status_code, response.get_json()["error"]["code"]) == (401, "unauthenticated")
    assert response.headers["x-should-retry"] == "false"
