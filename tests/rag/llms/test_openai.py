"""The adapter's own ways; the faults are played in tests/system/test_faults.py."""

import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx2
import openai
import pytest

from chatbot.rag.errors import UpstreamGarbled, UpstreamTimeout, UpstreamUnreachable
from chatbot.rag.http.deadlines import Guard, Watchdog
from chatbot.rag.llms import openai as adapter
from chatbot.rag.llms import openai_errors
from chatbot.rag.llms.openai import OpenAILLM
from chatbot.rag.llms.openai_errors import Refusal, find_refusal, status_error
from chatbot.rag.types import CompletionRequest, Deadlines, Finish, LLMOptions, Message, discard
from tests.support.processes import Upstream, free_port
from tests.support.waiting import wait_for


def model(url: str, **deadlines: float) -> OpenAILLM:
    return OpenAILLM(LLMOptions("scripted-1", "sk-canary", url, deadlines=Deadlines(**deadlines)))


def error_of(status: int, body: object) -> openai.APIStatusError:
    """Return the package's error for a server's answer."""
    request = httpx2.Request("POST", "http://127.0.0.1/v1")
    content = {"text": body} if isinstance(body, str) else {"json": body}
    return status_error(httpx2.Response(status, request=request, **content))


def ask(llm: OpenAILLM, text: str, on_reasoning: Callable[[str], None] = discard) -> list[str | Finish]:
    try:
        return list(llm.stream(CompletionRequest([Message("user", text)], on_reasoning=on_reasoning)))
    finally:
        llm.close()


@pytest.mark.parametrize(
    ("fault", "deadlines", "least", "most"),
    [
        ("no_first_byte", {"first_byte": 0.3}, 0.25, 1.5),
        ("silent_headers", {"first_byte": 0.3}, 0.25, 1.5),
        ("stall", {"idle": 0.3}, 0.25, 1.5),
        ("stall_pings", {"idle": 0.3}, 0.25, 1.5),
        ("empty_deltas", {"idle": 0.3}, 0.25, 1.5),
        ("flood", {"idle": 0.3}, 0.25, 1.5),
        ("slow_headers", {"first_byte": 0.3}, 0.25, 1.5),
        ("slow_error", {"first_byte": 0.3}, 0.25, 1.5),
        ("slow 9", {"idle": 9, "total": 0.4}, 0.3, 1.5),
    ],
)
def test_each_deadline_is_kept(
    upstream: Upstream, fault: str, deadlines: dict[str, float], least: float, most: float
) -> None:
    llm = model(upstream.url, **deadlines)
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        ask(llm, f"[[{fault}]]")
    assert least <= time.monotonic() - started <= most


def test_connecting_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full:  # a queue of one that is full: further connections are neither taken nor refused
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        with pytest.raises((UpstreamTimeout, UpstreamUnreachable)):
            ask(model(f"http://127.0.0.1:{port}/v1", connect=0.3, first_byte=0.3), "Hi")
        assert time.monotonic() - started < 2
        for client in waiting:
            client.close()


def test_nothing_listens() -> None:
    with pytest.raises(UpstreamUnreachable):
        ask(model(f"http://127.0.0.1:{free_port()}/v1"), "Hi")


def test_key_and_options_are_sent(upstream: Upstream) -> None:
    ask(model(upstream.url), "Hi")
    last = upstream.log()[-1]
    assert "authorization: bearer sk-canary" in last["head"].lower()
    assert last["path"] == "/v1/chat/completions"
    assert last["request"]["stream_options"] == {"include_usage": True}


def sent(llm: OpenAILLM, upstream: Upstream, text: str, **options: Any) -> dict[str, Any]:
    list(llm.stream(CompletionRequest([Message("user", text)], **options)))
    request: dict[str, Any] = upstream.log()[-1]["request"]
    return request


def test_refusal_of_a_callers_value_is_not_remembered(upstream: Upstream) -> None:
    llm = model(upstream.url)
    assert "temperature" not in sent(llm, upstream, "[[refuses_value temperature=2]] Hi", parameters={"temperature": 2})
    assert sent(llm, upstream, "Hi")["temperature"] == 0.7
    assert sent(llm, upstream, "[[refuses max_tokens]] Hi", parameters={"max_tokens": 9})["max_completion_tokens"] == 9
    assert sent(llm, upstream, "Hi")["max_tokens"] == 150
    llm.close()


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("[[refuses_beside temperature+top_p]] Hi", {"top_p": 0.5}),
        ("[[forbids_echoing stop]] Hi", {"stop": ["temperature"]}),
        ("[[forbids_echoing stop]] Hi", {"stop": ["max_tokens"]}),
        ("[[forbids_echoing stop]] Hi", {"stop": ["stream_options"]}),
        ("[[quotes_unsupported temperature]] Hi", {}),
    ],
)
def test_caller_takes_no_parameter_of_the_settings_from_others(
    upstream: Upstream, text: str, parameters: dict[str, Any]
) -> None:
    llm = model(upstream.url)
    before = sent(llm, upstream, "Hi")
    sent(llm, upstream, text, parameters=parameters)
    assert sent(llm, upstream, "Hi") == before
    llm.close()


def test_refusal_of_the_settings_own_value_is_remembered(upstream: Upstream) -> None:
    llm = model(upstream.url)
    assert "temperature" not in sent(llm, upstream, "[[refuses_value temperature=0.7]] Hi")
    assert "temperature" not in sent(llm, upstream, "Hi")
    assert "temperature" not in sent(llm, upstream, "Hi", parameters={"temperature": 1})
    assert sent(llm, upstream, "[[refuses max_tokens]] Hi")["max_completion_tokens"] == 150
    assert sent(llm, upstream, "Hi")["max_completion_tokens"] == 150
    llm.close()


@pytest.mark.parametrize("parameter", ["cache_salt", "prompt_cache_key"])
@pytest.mark.parametrize("fault", ["refuses", "forbids"])
def test_cache_parameter_is_sent_until_it_is_refused(upstream: Upstream, parameter: Any, fault: str) -> None:
    llm = OpenAILLM(LLMOptions("scripted-1", "k", upstream.url, cache_key=parameter))
    assert sent(llm, upstream, "Hi", cache_salt="a" * 64)[parameter] == "a" * 64
    assert parameter not in sent(llm, upstream, "Hi")
    assert parameter not in sent(llm, upstream, f"[[{fault} {parameter}]] Hi", cache_salt="a")
    assert parameter not in sent(llm, upstream, "Hi", cache_salt="b")
    llm.close()


def test_cache_prefix_is_the_callers_own_and_in_front_of_all(upstream: Upstream) -> None:
    llm = OpenAILLM(LLMOptions("scripted-1", "k", upstream.url, cache_key="prefix"))
    for salt in ("a" * 64, "b" * 64):
        request = sent(llm, upstream, "Hi", cache_salt=salt)
        assert request["messages"] == [{"role": "user", "content": f"{salt[:16]}\nHi"}]
        assert not {"cache_salt", "prompt_cache_key"} & set(request)
    assert sent(llm, upstream, "Hi")["messages"][0]["content"] == "Hi"
    llm.close()


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("1", 1, 1), ("0.5", 0.5, 0.5), ("-1", None, None), ("soon", None, None), ("1e9", None, None), ("999999", 3600, 3600),
     ("in 100 s", 80, 101), (formatdate(0, usegmt=True), 0, 0), (None, None, None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, least: float | None, most: float | None) -> None:
    value = formatdate(time.time() + 100, usegmt=True) if value == "in 100 s" else value
    found = openai_errors.retry_after({} if value is None else {"retry-after": value})
    if least is None or most is None:
        assert found is None
    else:
        assert found is not None
        assert least <= found <= most


def test_answer_may_not_be_larger_than_all_bounds(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(UpstreamGarbled):
        ask(model(upstream.url), "Hi")


def test_guard_that_has_expired_ends_a_connection_that_comes_later() -> None:
    left, right = socket.socketpair()
    with left, right:
        guard = Guard(0.0)
        guard.expire()
        guard.watch(left)
        assert left.recv(1) == b""
        guard.release()


def test_behind_a_proxy_the_ways_of_httpx2_are_taken(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    *_, finish = ask(model(upstream.url), "Hi")
    assert isinstance(finish, Finish)


def test_watchdog_rests_when_there_is_nothing_to_guard() -> None:
    dog = Watchdog()
    for _ in range(2):
        left, right = socket.socketpair()
        with left, right:
            with dog.guard(time.monotonic() + 0.05) as guard:
                guard.watch(left)
                assert left.recv(1) == b""
                assert guard.expired
            with dog.guard(time.monotonic() + 60) as guard:
                guard.watch(right)
                assert not guard.expired
        wait_for(lambda: not dog.is_running, 5)


def test_field_that_fastapi_forbids_is_found_without_a_message() -> None:
    detail = [{"type": "extra_forbidden", "loc": ["body", "cache_salt"], "msg": "Extra inputs are not permitted"}]
    error = error_of(422, {"detail": detail})
    assert find_refusal(error, {"temperature": 1, "cache_salt": "a"}) == Refusal("cache_salt", is_certain=True)
