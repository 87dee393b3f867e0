"""Dialects of real chat-completions servers: their answers and refusals."""

from typing import Any

import pytest

from chatbot.rag.errors import (
    ModelUnavailable,
    PromptTooLong,
    UpstreamFailed,
    UpstreamIncomplete,
    UpstreamRefused,
    UpstreamTimeout,
)
from chatbot.rag.http.event_stream import payloads
from chatbot.rag.llms.openai import prepended
from chatbot.rag.llms.openai_answer import Answer
from chatbot.rag.llms.openai_errors import translate
from chatbot.rag.types import CompletionRequest, Finish, Message
from tests.rag.llms.test_openai import ask, error_of, model
from tests.support.processes import Upstream
from tests.support.upstream_dialects import ANSWERS, NO_SYSTEM, WORDINGS

SYSTEM = Message("system", "Be brief.")


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"stop_at_once"}))
def test_answer_is_read_in_each_dialect(upstream: Upstream, name: str) -> None:
    *texts, finish = ask(model(upstream.url), f"[[dialect {name}]]")
    assert isinstance(finish, Finish)
    assert ("".join(map(str, texts)), finish.reason) == ANSWERS[name]


REASONING = {
    "parts": "Okay",
    "think": "Is <it> so?",
    "reasoning_alone": "hmm",
}


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"stop_at_once"}))
def test_reasoning_is_told_apart_from_the_answer(upstream: Upstream, name: str) -> None:
    told: list[str] = []
    ask(model(upstream.url), f"[[dialect {name}]]", told.append)
    assert "".join(told) == REASONING.get(name, "")


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"reasoning_content": "a", "reasoning": "a"}, "a"),
        ({"reasoning": {"effort": 1}}, ""),
        ({"thinking": [{"type": "text", "text": "a"}, 5]}, "a"),
        ({"reasoning_content": "\ud800\0a"}, "?a"),
        ({"reasoning": [[["a"]]]}, ""),
        ({"reasoning_content": [{"text": [{"text": "a"}]}]}, ""),
    ],
    ids=str,
)
def test_reasoning_in_any_shape_is_text(delta: dict[str, Any], expected: str) -> None:
    told: list[str] = []
    Answer("m", told.append).take_all([{"choices": [{"delta": delta}]}])
    assert "".join(told) == expected


def test_packed_answer_is_read(upstream: Upstream) -> None:
    *texts, _ = ask(model(upstream.url), "[[packed]]")
    assert "".join(map(str, texts)) == "Hello there"


def test_mark_and_blanks_in_front_of_an_answer_are_passed_over() -> None:
    mark = b"\xef\xbb\xbf"
    for chunks in (
        [mark[:1], mark[1:] + b'data: {"a": 1}\n\n'],
        [mark, b'data: {"a": 1}'],
        [b'\n  {"a": 1}'],
        [b'  {"a":', b"\n 1}"],
    ):
        assert [one for batch in payloads(chunks) for one in batch] == [{"a": 1}]


def test_message_beside_an_empty_delta_is_no_second_text() -> None:
    chunk = {"choices": [{"delta": {}, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert Answer("m").take_all([chunk])[0] == ""


def test_failure_over_a_callers_parts_says_nothing_of_the_servers_health(upstream: Upstream) -> None:
    llm = model(upstream.url)
    for asked in (
        CompletionRequest(
            [Message("user", "[[status 500]]", {"content": [{"type": "text", "text": "[[status 500]]"}]})]
        ),
        CompletionRequest([Message("user", "[[status 500]]")], {"tools": [{"type": "x"}]}),
    ):
        with pytest.raises(UpstreamRefused):
            list(llm.stream(asked))
    with pytest.raises(UpstreamFailed):
        list(llm.stream(CompletionRequest([Message("user", "[[status 500]]")])))
    llm.close()


def test_answer_may_be_empty_where_a_stop_text_was_asked_for(upstream: Upstream) -> None:
    llm = model(upstream.url)
    asked = [Message("user", "[[dialect stop_at_once]]")]
    found = list(llm.stream(CompletionRequest(asked, {"stop": ["x"]})))
    assert [finish.reason for finish in found if isinstance(finish, Finish)] == ["stop"]
    with pytest.raises(UpstreamIncomplete):
        list(llm.stream(CompletionRequest(asked)))
    llm.close()


def test_reasoning_is_a_sign_of_life_until_the_whole_takes_too_long(upstream: Upstream) -> None:
    *texts, _ = ask(model(upstream.url, first_byte=0.6, idle=0.6, total=20), "[[reasons 12]]")
    assert "".join(map(str, texts)) == "Hello there"
    with pytest.raises(UpstreamTimeout):
        ask(model(upstream.url, first_byte=0.6, idle=0.6, total=0.8), "[[reasons 30]]")


@pytest.mark.parametrize("name", WORDINGS)
def test_refused_parameter_is_found_in_any_wording_and_left_out_from_then_on(upstream: Upstream, name: str) -> None:
    llm = model(upstream.url)
    for text in (f"[[refuses_as {name}]] Hi", "Hi"):
        list(llm.stream(CompletionRequest([Message("user", text)])))
        assert "stream_options" not in upstream.log()[-1]["request"]
    llm.close()


@pytest.mark.parametrize("name", NO_SYSTEM)
def test_text_of_the_system_goes_to_the_user_where_there_is_no_such_role(upstream: Upstream, name: str) -> None:
    llm = model(upstream.url)
    list(llm.stream(CompletionRequest([SYSTEM, Message("user", f"[[no_system {name}]] Hi")])))
    assert upstream.log()[-1]["request"]["messages"] == [
        {"role": "user", "content": f"Be brief.\n\n[[no_system {name}]] Hi"}
    ]
    llm.close()


def test_missing_role_is_remembered(upstream: Upstream) -> None:
    llm = model(upstream.url)
    list(llm.stream(CompletionRequest([SYSTEM, Message("user", "[[no_role]] Hi")])))
    list(llm.stream(CompletionRequest([SYSTEM, Message("user", "Hi")])))
    assert upstream.log()[-1]["request"]["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]
    list(llm.stream(CompletionRequest([SYSTEM, Message("assistant", "Hi")])))
    assert [one["role"] for one in upstream.log()[-1]["request"]["messages"]] == ["user", "assistant"]
    llm.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [("b", "ab"), (None, "a"), ([{"type": "image_url"}], [{"type": "text", "text": "a"}, {"type": "image_url"}])],
)
def test_text_goes_in_front_of_any_content(content: Any, expected: Any) -> None:
    assert prepended("a", content) == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}),
        (400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}),
        (400, {"object": "error", "message": "Prompt is too long: 9000 tokens"}),
        (413, {"error": {"message": "input is too long for the requested model"}}),
        (422, {"detail": "the request exceeds the available context size"}),
    ],
)
def test_prompt_that_is_too_long_is_told_as_that(status: int, body: Any) -> None:
    assert type(translate(error_of(status, body), "m")) is PromptTooLong
    assert type(translate(error_of(400, {"error": {"message": "no"}}), "m")) is UpstreamRefused


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Not Found"}, "OPENAI_BASE_URL"),
        ("<html>", "OPENAI_BASE_URL"),
        ({"error": {"message": "The model `m` does not exist"}}, "OPENAI_MODEL"),
        ({"error": {"message": "x", "code": "model_not_found"}}, "OPENAI_MODEL"),
    ],
)
def test_wrong_address_is_told_from_a_wrong_model(body: object, words: str) -> None:
    error = translate(error_of(404, body), "`m`")
    assert isinstance(error, ModelUnavailable)
    assert words in error.detail
