"""Calls of tools, as servers send them in pieces."""

from typing import Any

import pytest

from chatbot.rag.errors import ParameterRefused, UpstreamGarbled
from chatbot.rag.llms import tool_calls
from chatbot.rag.llms.openai_answer import Answer
from chatbot.rag.llms.tool_calls import ToolCalls
from chatbot.rag.types import CompletionRequest, Message
from tests.rag.llms.test_openai import model
from tests.support.processes import Upstream


def whole(*chunks: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    calls = ToolCalls()
    for chunk in chunks:
        calls.take(chunk)
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls.whole()]


def piece(
    index: int | None, arguments: str | None = None, name: str | None = None, id: str | None = None
) -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def test_pieces_of_calls_side_by_side_are_joined() -> None:
    first = [piece(0, "", "f", "a"), piece(1, None, "g", "b")]
    assert whole(first, [piece(1, "{")], [piece(0, "{}"), piece(1, "}")]) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_calls_without_index_are_told_apart_by_id_or_name() -> None:
    assert whole([piece(None, "{}", "f", "a"), piece(None, "{}", "f")]) == [("a", "f", "{}"), ("call_1", "f", "{}")]
    assert whole([piece(None, '{"a"', "f", "a")], [piece(None, ":1}", None, "a")]) == [("a", "f", '{"a":1}')]
    assert whole([piece(None, '{"a"', "f")], [piece(None, ":1}")]) == [("call_0", "f", '{"a":1}')]


def test_whole_calls_with_one_index_are_told_apart_by_id() -> None:
    found = whole([piece(0, "{}", "f", "a"), piece(0, "{}", "g", "b")])
    assert found == [("a", "f", "{}"), ("b", "g", "{}")]


def test_arguments_may_be_an_object() -> None:
    calls = ToolCalls()
    calls.take([{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"a": 1}}}])
    assert calls.whole()[0]["function"]["arguments"] == '{"a":1}'


def test_text_of_a_call_can_be_stored() -> None:
    assert whole([piece(0, "a\0b\ud83d", "f", "a")]) == [("a", "f", "ab?")]


def test_name_of_a_model_can_be_stored() -> None:
    answer = Answer("m")
    answer.take_all([{"model": "a\0b\ud83d", "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}])
    assert answer.finish().model == "ab?"


@pytest.mark.parametrize("arguments", [5, ["x"]])
def test_call_that_is_none_is_garbled(arguments: object) -> None:
    with pytest.raises(UpstreamGarbled):
        whole([{"function": {"arguments": arguments}}])


def test_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UpstreamGarbled):
        whole([piece(number) for number in range(tool_calls.MAX_CALLS + 1)])
    monkeypatch.setattr(tool_calls, "MAX_ARGUMENTS", 100)
    with pytest.raises(UpstreamGarbled):
        whole(*([piece(0, "x" * 10)] for _ in range(11)))
    with pytest.raises(UpstreamGarbled):
        whole([piece(0, "", "x" * 201)])


def test_log_probabilities_are_gathered() -> None:
    answer = Answer("m")
    for token in ("a", "b\ud83d\0"):
        logprobs = {"content": [{"token": token, "logprob": -1}]}
        answer.take_all([{"choices": [{"delta": {"content": token}, "logprobs": logprobs, "finish_reason": None}]}])
    answer.take_all([{"choices": [{"delta": {}, "logprobs": None, "finish_reason": "stop"}]}])
    assert [one["token"] for one in answer.finish().extras["logprobs"]["content"]] == ["a", "b?"]


@pytest.mark.parametrize("value", [float("inf"), 10**400, "x", None])
def test_log_probability_that_is_none_is_the_least(value: object) -> None:
    answer = Answer("m")
    odd = {"token": "a", "logprob": value, "bytes": ["x"], "more": [[]] * 100, "top_logprobs": [{}] * 50}
    answer.take_all(
        [{"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [odd]}, "finish_reason": "stop"}]}]
    )
    [found] = answer.finish().extras["logprobs"]["content"]
    assert found.keys() == {"token", "logprob", "bytes", "top_logprobs"}
    assert (found["logprob"], found["bytes"], len(found["top_logprobs"])) == (-9999.0, None, 20)


def test_log_probabilities_are_bounded() -> None:
    answer = Answer("m")
    many = [{"token": "a", "logprob": -1}] * 20_000
    answer.take_all(
        [{"choices": [{"delta": {"content": "a"}, "logprobs": {"content": many}, "finish_reason": "stop"}]}]
    )
    assert len(answer.finish().extras["logprobs"]["content"]) == 10_000


@pytest.mark.parametrize("logprobs", ["x", {"content": "oops"}, {"content": [5]}, [1]])
def test_log_probabilities_of_another_form_are_garbled(logprobs: object) -> None:
    chunk = {"choices": [{"delta": {"content": "a"}, "logprobs": logprobs, "finish_reason": "stop"}]}
    assert isinstance(Answer("m").take_all([chunk])[1], UpstreamGarbled)


def test_answer_of_blanks_is_not_searched_again_and_again() -> None:
    chunk = {"choices": [{"delta": {"content": " " * 4_000}, "finish_reason": None}]}

    def read(pieces: int) -> str:
        answer = Answer("m")
        return "".join(answer.take_all([chunk])[0] for _ in range(pieces))

    assert len(read(3_000)) == 12_000_000


@pytest.mark.parametrize("parameter", ["tools", "response_format"])
def test_parameter_that_makes_the_answer_is_not_left_out(upstream: Upstream, parameter: str) -> None:
    llm = model(upstream.url)
    asked = CompletionRequest([Message("user", f"[[refuses {parameter}]] Hi")], {parameter: [{"type": "x"}]})
    with pytest.raises(ParameterRefused):
        list(llm.stream(asked))
    llm.close()
