"""The routes for OpenAI's clients: accepted and refused requests, and the shape of answers."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from marshmallow import ValidationError

from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.types import Message
from chatbot.schemas.completions import CompletionRequestSchema
from chatbot.schemas.passed_on import passed_on
from tests.conftest import Person
from tests.support.turns import ended, gated

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
ASKED: dict[str, Any] = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "Hi"}]}


def ask(person: Person, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = person.call("POST", "/v1/chat/completions", {**ASKED, **fields}, headers=headers or {})
    return response.status_code, response.get_json()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": "y"}]}, "messages.0.tool_calls"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"base_url": "http://127.0.0.1:1"}, "base_url"),
        ({"api_base": "http://127.0.0.1:1"}, "api_base"),
        ({"messages": [{"role": "user", "content": "x", "audio": {"id": "a"}}]}, "messages.0.audio"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages.0.content",
        ),
        *(
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]},
                "messages.0.content",
            )
            for url in (
                "http://169.254.169.254/x",
                "http://[::1]/x",
                "http://localhost/x",
                "file:///etc/passwd",
                "http://db.internal/",
                "https://2130706433/",
                r"https://127.0.0.1\@example.com/x",
                "x",
            )
        ),
        ({"tools": 5}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": TOOLS * 129}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"chat_template_kwargs": {"chat_template": "{{ x }}"}}, "chat_template_kwargs"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": [None]}, "service_tier"),
        ({"messages": [{"role": "user", "content": [{"type": ["text"]}]}]}, "messages.0.content"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"top_k": "many"}, "top_k"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"n_predict": -1}, "n_predict"),
        ({"priority": -5}, "priority"),
        ({"web_search_options": {"x": 1}}, "web_search_options"),
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


def sent(person: Person, llm: MemoryLLM, **fields: Any) -> tuple[Mapping[str, Any], list[Message]]:
    """Return the parameters and messages that reach the model."""
    status, body = ask(person, **fields)
    assert status == 200, body
    return llm.requests[-1].parameters, llm.prompts[-1]


def test_parameters_of_the_protocol_and_of_servers_reach_the_model(ada: Person, llm: MemoryLLM) -> None:
    said = {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False, "reasoning_effort": "low", "top_k": 5,
            "response_format": {"type": "json_object"}, "chat_template_kwargs": {"enable_thinking": False}, "logprobs": True}  # fmt: skip
    assert dict(sent(ada, llm, **said)[0]) == said


@pytest.mark.parametrize("stream", [False, True])
def test_answer_that_is_capped_says_so(ada: Person, stream: bool) -> None:
    for tokens, told in ((1_000, "150"), (150, None)):
        response = ada.call("POST", "/v1/chat/completions", {**ASKED, "max_tokens": tokens, "stream": stream})
        assert (response.status_code, response.headers.get("X-Max-Tokens")) == (200, told)


def test_values_that_change_nothing_pass(ada: Person, llm: MemoryLLM) -> None:
    said = {"tools": [], "tool_choice": "none", "parallel_tool_calls": True, "response_format": {"type": "text"}, "user": None,
            "logprobs": False, "logit_bias": {}, "functions": None, "service_tier": "auto", "top_logprobs": 0, "seed": None}  # fmt: skip
    streamed = {"stream_options": {"include_usage": None, "include_obfuscation": False}}
    assert dict(sent(ada, llm, **said, **streamed)[0]) == {}


def test_messages_reach_the_model_with_their_further_members(ada: Person, llm: MemoryLLM) -> None:
    image = [
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    call = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "assistant", "content": "Hello", "refusal": None, "annotations": [], "tool_calls": None},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": image},
        {"role": "assistant", "content": None, "tool_calls": call},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    assert sent(ada, llm, messages=messages)[1] == [
        Message("user", "Hi", {"name": "ada"}),
        Message("assistant", "Hello"),
        Message("user", "one\ntwo"),
        Message("assistant", ""),
        Message("user", "And this?", {"content": image}),
        Message("assistant", "", {"tool_calls": call, "content": None}),
        Message("tool", "sunny", {"tool_call_id": "c1"}),
    ]


def test_what_clients_add_to_an_answer_does_not_reach_the_model(ada: Person, llm: MemoryLLM) -> None:
    parsed = {"city": "Rome"}
    function = {"name": "weather", "arguments": '{"city":"Rome"}'}
    call = {"id": "c1", "type": "function", "function": function, "extra_content": {"google": {}}}
    called = {**call, "index": 0, "function": {**function, "parsed_arguments": parsed}}
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "x"}]
    added = {"parsed": parsed, "provider_specific_fields": {"refusal": None}, "thinking_blocks": blocks, "reasoning_details": blocks}  # fmt: skip
    messages = [
        {"role": "assistant", "content": "Rome", **added},
        {"role": "assistant", "content": None, "tool_calls": [called], "parsed": None},
        *ASKED["messages"],
    ]
    assert sent(ada, llm, messages=messages)[1][:2] == [
        Message("assistant", "Rome"),
        Message("assistant", "", {"tool_calls": [call], "content": None}),
    ]


def test_message_may_be_as_long_as_a_body(ada: Person, llm: MemoryLLM) -> None:
    assert sent(ada, llm, messages=[{"role": "user", "content": "x " * 20_000}])[1] == [Message("user", "x " * 20_000)]


def test_special_tokens_are_broken_in_calls_too(ada: Person, llm: MemoryLLM) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "<|im_end|>"}}]
    for arguments in ('{"a": "<|im_end|>"}', '{"a": "\\u003c|im_end|\\u003e"}', '{"<|im_end|>": 1}', "{<|im_end|>"):
        call = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
        result = {"role": "tool", "content": "x", "tool_call_id": "c1"}
        messages = [*ASKED["messages"], {"role": "assistant", "tool_calls": call}, result]
        parameters, prompt = sent(ada, llm, messages=messages, tools=tools)
        assert "<|im_end|>" not in str(parameters)
        assert "<|im_end|>" not in str(prompt)
        assert "u003c" not in str(prompt)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_call_that_was_cut_is_none_to_make(ada: Person, llm: MemoryLLM, finish: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "rm", "arguments": '{"path": "/tm'}}
    llm.says(extras={"tool_calls": [call]}, finish=finish)
    assert ask(ada, tools=TOOLS)[1]["choices"][0]["finish_reason"] == finish


def test_model_of_a_collection_keeps_what_follows_and_takes_no_images(ada: Person, llm: MemoryLLM) -> None:
    ada.call("POST", "/api/collections/", {"name": "docs"})
    call = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    result = {"role": "tool", "content": "sunny", "tool_call_id": "c1"}
    messages = [*ASKED["messages"], {"role": "assistant", "content": None, "tool_calls": call}, result]
    _, prompt = sent(ada, llm, model="collection:docs", messages=messages)
    assert [message.role for message in prompt] == ["system", "user", "assistant", "tool"]
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    status, body = ask(ada, model="collection:docs", messages=[{"role": "user", "content": image}])
    assert (status, body["error"]["param"]) == (400, "messages")


@pytest.mark.both_databases
def test_calls_of_tools_are_passed_back_and_kept(ada: Person, llm: MemoryLLM) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    extras = {"tool_calls": [call], "logprobs": {"content": [{"token": "x", "logprob": -1.5}], "refusal": None}}
    llm.says(extras=extras)
    choice = ask(ada, tools=TOOLS)[1]["choices"][0]
    assert (choice["finish_reason"], choice["logprobs"]) == ("tool_calls", extras["logprobs"])
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    llm.says("Let me look.", extras=extras)
    response = ada.call("POST", "/v1/chat/completions", {**ASKED, "tools": TOOLS, "stream": True})
    frames = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    choices = [frame["choices"][0] for frame in frames]
    assert "".join(one["delta"].get("content", "") for one in choices) == "Let me look."
    assert choices[-2]["delta"] == {"tool_calls": [{"index": 0, **call}]}
    assert choices[-2]["logprobs"] == extras["logprobs"]
    assert choices[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_k": 10**30}, "top_k"),
        ({"tools": [{"type": "x", "y": -(10**30)}]}, "tools"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 2**64}]}]},
            "messages.0.content",
        ),
    ],
)
def test_number_that_cannot_be_sent_on_is_400(ada: Person, llm: MemoryLLM, fields: dict[str, Any], param: str) -> None:
    data = json.dumps({**ASKED, **fields})
    headers = {"Authorization": f"Bearer {ada.access_token}"}
    response = ada.client.post("/v1/chat/completions", data=data, headers=headers, content_type="application/json")
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, param)
    assert not llm.prompts


ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", [], [None], [[]], {}, {"a": None}, {"type": None}, {"type": []},
    {"type": "function", "function": []}, {"type": "image_url", "image_url": {"url": "http://[x"}}, {"type": "text"},
    {"type": "json_schema", "json_schema": []}, {"id": "a", "function": {"name": [], "arguments": ""}},
]  # fmt: skip


@pytest.mark.parametrize("value", [*ODD, *([one] for one in ODD)], ids=str)
def test_no_value_of_any_member_is_an_error_of_ours(value: object) -> None:
    schema = CompletionRequestSchema()
    members = ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio")
    messages = [{"messages": [{**ASKED["messages"][0], name: value}]} for name in members]
    for fields in [*({name: value} for name in schema.load_fields), *messages]:
        with suppress(ValidationError):
            passed_on(schema.load({**ASKED, **fields}))


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
