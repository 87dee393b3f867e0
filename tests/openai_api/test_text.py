"""Completions of a text: OpenAI's older API."""

import json
from typing import Any

import pytest

from tests.conftest import MakeApp, Person, join

ASKED: dict[str, Any] = {"model": "gpt-3.5-turbo", "prompt": "Hi there"}


def ask(person: Person, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = person.call("POST", "/v1/completions", {**ASKED, **fields})
    return response.status_code, response.get_json()


def test_text_is_answered_whole(ada: Person) -> None:
    status, answer = ask(ada, max_tokens=5, temperature=0, best_of=1, echo=False, logprobs=None, suffix="", top_k=3)
    assert (status, answer["object"], answer["id"][:5]) == (200, "text_completion", "cmpl-")
    choice = answer["choices"][0]
    assert choice == {"index": 0, "text": choice["text"], "finish_reason": "stop", "logprobs": None}
    assert "Hi there" in choice["text"]
    assert answer["usage"]["total_tokens"] > 0
    assert ada.history() == []


@pytest.mark.parametrize("prompt", ["Hi there", ["Hi there"]])
def test_text_is_echoed_and_stored_where_that_is_asked_for(ada: Person, prompt: Any) -> None:
    plain = ask(ada, prompt=prompt)[1]["choices"][0]["text"]
    echoed = ask(ada, prompt=prompt, echo=True, store=True)[1]["choices"][0]["text"]
    assert echoed == "Hi there" + plain
    assert [(turn["user_message"], turn["bot_response"]) for turn in ada.history()] == [("Hi there", plain)]


@pytest.mark.parametrize("echo", [False, True])
def test_text_is_streamed(ada: Person, echo: bool) -> None:
    whole = ask(ada, echo=echo)[1]
    fields = {**ASKED, "echo": echo, "stream": True, "stream_options": {"include_usage": True}}
    lines = ada.call("POST", "/v1/completions", fields).get_data(as_text=True).split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"]) == whole["choices"][0]["text"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == whole["usage"]
    assert lines[-2] == "data: [DONE]"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"), ({"prompt": " "}, "prompt"), ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": None}, "prompt"), ({"n": 2}, "n"), ({"best_of": 2}, "best_of"), ({"suffix": "x"}, "suffix"),
        ({"logprobs": 3}, "logprobs"), ({"tools": []}, "tools"), ({"model": "gpt-9"}, None), ({"messages": []}, "messages"),
    ],
    ids=str,
)  # fmt: skip
def test_refused_by_name(shared_ada: Person, fields: dict[str, Any], param: str | None) -> None:
    status, answer = ask(shared_ada, **fields)
    assert (status, answer["error"]["param"]) == (404 if param is None else 400, param)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_operator_may_refuse_longer_answers_instead_of_cutting_them(make_app: MakeApp, name: str) -> None:
    asked = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "Hi"}]}
    person = join(make_app(OPENAI_MAX_TOKENS_EXCEEDED="refuse").test_client(), "ada")
    refused = person.call("POST", "/v1/chat/completions", {**asked, name: 151})
    assert (refused.status_code, refused.get_json()["error"]["param"]) == (400, name)
    allowed = person.call("POST", "/v1/chat/completions", {**asked, name: 150})
    assert (allowed.status_code, "X-Max-Tokens" in allowed.headers) == (200, False)


def test_message_of_a_refusal_names_the_field(shared_ada: Person) -> None:
    """Clients show the message alone."""
    said = [{"role": "user", "content": "x"}, {"role": "user", "content": "x", "audio": {}, "x": 1}]
    asked = {"model": "gpt-3.5-turbo", "messages": said}
    answer = shared_ada.call("POST", "/v1/chat/completions", asked).get_json()
    assert answer["error"]["message"] == "messages.1.x: Unknown field."
