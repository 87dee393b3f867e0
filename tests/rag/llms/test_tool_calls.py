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


def test_calls_without_index_are_whole_ones() -> None:
    assert whole([piece(None, "{}", "f", "a"), piece(None, "{}", "f")]) == [("a", "f", "{}"), ("call_1", "f", "{}")]


def test_text_of_a_call_can_be_stored() -> None:
    assert whole([piece(0, "a\0b\ud83d", "f", "a")]) == [("a", "f", "ab?")]


@pytest.mark.parametrize("arguments", [5, ["x"], {"a": 1}])
def test_call_that_is_none_is_garbled(arguments: object) -> None:
    with pytest.raises(UpstreamGarbled):
        whole([{"function": {"arguments": arguments}}])


def test_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UpstreamGarbled):
        whole([piece(number) for number in range(tool_calls.MAX_CALLS + 1)])
    monkeypatch.setattr(tool_calls, "MAX_ARGUMENTS", 100)
    with pytest.raises(UpstreamGarbled):
        whole(*([piece(0, "x" * 10)] for _ in range(11)))


def test_log_probabilities_are_gathered() -> None:
    answer = Answer("m")
    for token in ("a", "b\ud83d\0"):
        logprobs = {"content": [{"token": token, "logprob": -1}]}
        answer.take_all([{"choices": [{"delta": {"content": token}, "logprobs": logprobs, "finish_reason": None}]}])
    answer.take_all([{"choices": [{"delta": {}, "logprobs": None, "finish_reason": "stop"}]}])
    assert [one["token"] for one in answer.finish().extras["logprobs"]["content"]] == ["a", "b?"]


@pytest.mark.parametrize("parameter", ["tools", "response_format"])
def test_parameter_that_makes_the_answer_is_not_left_out(upstream: Upstream, parameter: str) -> None:
    llm = model(upstream.url)
    asked = CompletionRequest([Message("user", f"[[refuses {parameter}]] Hi")], {parameter: [{"type": "x"}]})
    with pytest.raises(ParameterRefused):
        list(llm.stream(asked))
    llm.close()
