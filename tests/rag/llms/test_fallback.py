"""Retries, the breaker and the next in line, before an answer has begun and never after."""

import contextlib
import threading
import time
from collections.abc import Sequence

import pytest
import time_machine

from chatbot.rag.errors import (
    Aborted,
    AdapterError,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamDown,
    UpstreamFailed,
    UpstreamIncomplete,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from chatbot.rag.llms import fallback
from chatbot.rag.llms.fallback import FallbackLLM
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.llms.openai import OpenAILLM
from chatbot.rag.types import CancelToken, CompletionRequest, Finish, LLMOptions, Message
from tests.support.processes import Upstream


def several(
    *names: str, retries: int = 0, failures: int = 100, seconds: float = 0.2
) -> tuple[FallbackLLM, Sequence[MemoryLLM]]:
    models = [MemoryLLM(LLMOptions(name)) for name in names]
    return FallbackLLM(models, retries=retries, breaker_failures=failures, breaker_seconds=seconds), models


def answer(llm: FallbackLLM, model: str = "", cancel_token: CancelToken | None = None) -> tuple[str, str]:
    *pieces, finish = llm.stream(CompletionRequest([Message("user", "Hi")], {}, cancel_token or CancelToken(), model))
    assert isinstance(finish, Finish)
    return "".join(str(piece) for piece in pieces), finish.model


@pytest.mark.parametrize(
    "error", [UpstreamUnreachable(), UpstreamFailed(), UpstreamBusy(), UpstreamBusy(retry_after=0.1)]
)
def test_what_may_be_over_in_a_moment_is_tried_again(error: AdapterError) -> None:
    llm, (model,) = several("one", retries=2)
    model.fails(error)
    model.fails(error)
    model.says("at last")
    assert answer(llm) == ("at last", "one")
    assert len(model.prompts) == 3


def test_last_error_is_raised_when_the_tries_are_over() -> None:
    llm, (model,) = several("one", retries=1)
    for error in (UpstreamFailed("first"), UpstreamFailed("second")):
        model.fails(error)
    with pytest.raises(UpstreamFailed, match="second"):
        answer(llm)


@pytest.mark.parametrize("error", [UpstreamDenied(), UpstreamTimeout(), UpstreamBusy(retry_after=30)])
def test_what_a_moment_does_not_mend_is_not_tried_again(error: AdapterError) -> None:
    llm, (model,) = several("one", retries=5)
    model.fails(error)
    with pytest.raises(type(error)) as raised:
        answer(llm)
    assert raised.value.retry_after == error.retry_after
    assert len(model.prompts) == 1


def test_retry_after_of_up_to_two_seconds_is_waited_for() -> None:
    llm, (model,) = several("one", retries=1)
    model.fails(UpstreamBusy(retry_after=0.5))
    started = time.monotonic()
    answer(llm)
    assert time.monotonic() - started >= 0.5
    assert not fallback.may_be_over(UpstreamBusy(retry_after=2.1))


def test_what_began_is_never_begun_again() -> None:
    llm, (first, second) = several("one", "two", retries=3)
    first.fails(UpstreamIncomplete(), "Half")
    stream = llm.stream(CompletionRequest([Message("user", "Hi")]))
    assert next(stream) == "Half"
    with pytest.raises(UpstreamIncomplete):
        next(stream)
    assert (len(first.prompts), len(second.prompts)) == (1, 0)


def test_next_in_line_answers_and_says_so() -> None:
    llm, (first, second, third) = several("one", "two", "three")
    first.fails(UpstreamDenied())
    second.fails(UpstreamBusy(retry_after=60))
    assert answer(llm) == ("Hi", "three")
    for model, error in ((first, UpstreamDenied()), (second, UpstreamTimeout()), (third, UpstreamFailed())):
        model.fails(error)
    with pytest.raises(UpstreamDenied):
        answer(llm)


def test_model_that_was_asked_for_is_asked_first() -> None:
    llm, (_, second) = several("one", "two")
    assert answer(llm, "two")[1] == "two"
    second.fails(UpstreamDenied())
    assert answer(llm, "two")[1] == "one"


def test_breaker_opens_lets_one_probe_through_and_closes_again(clock: time_machine.Traveller) -> None:
    llm, (model,) = several("one", failures=3, seconds=1.0)
    for _ in range(3):
        model.fails(UpstreamUnreachable())
        with pytest.raises(UpstreamUnreachable):
            answer(llm)
    rounds = []
    for _ in range(3):  # in one of them the machine may stand still
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(UpstreamDown) as down:
                answer(llm)
            assert down.value.retry_after is not None
            assert down.value.retry_after >= 1
        rounds.append(time.monotonic() - started)
    assert min(rounds) < 0.2
    assert len(model.prompts) == 3
    clock.shift(1.05)
    entered = threading.Event()
    leave = threading.Event()
    stream = model.stream

    def slow(ask):
        entered.set()
        leave.wait(5)
        yield from stream(ask)

    model.stream = slow  # type: ignore[method-assign]  # for the time of the test
    probe = threading.Thread(target=answer, args=(llm,))
    probe.start()
    assert entered.wait(5)
    with pytest.raises(UpstreamDown):
        answer(llm)
    leave.set()
    probe.join()
    model.stream = stream  # type: ignore[method-assign]  # and back
    assert answer(llm) == ("Hi", "one")


def test_failed_probe_opens_the_breaker_again(clock: time_machine.Traveller) -> None:
    llm, (model,) = several("one", failures=1)
    model.fails(UpstreamTimeout())
    with pytest.raises(UpstreamTimeout):
        answer(llm)
    clock.shift(0.25)
    model.fails(UpstreamUnreachable())
    with pytest.raises(UpstreamUnreachable):
        answer(llm)
    with pytest.raises(UpstreamDown):
        answer(llm)


def test_fault_of_our_own_opens_no_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    llm, (model,) = several("one", failures=1)
    with monkeypatch.context() as patch:
        patch.setattr(model, "stream", lambda request: iter(request.nothing))
        with pytest.raises(AttributeError):
            answer(llm)
    assert answer(llm) == ("Hi", "one")


def test_errors_that_say_nothing_of_the_servers_health_open_no_breaker() -> None:
    llm, (model,) = several("one", failures=1)
    for error in (UpstreamDenied(), UpstreamBusy(), UpstreamDenied()):
        model.fails(error)
        with pytest.raises(type(error)):
            answer(llm)
    assert answer(llm) == ("Hi", "one")


def test_abort_ends_the_waiting_for_another_try() -> None:
    llm, (first, second) = several("one", "two", retries=9)
    for _ in range(10):
        first.fails(UpstreamBusy(retry_after=2))
    cancel_token = CancelToken()
    started = time.monotonic()
    threading.Timer(0.2, cancel_token.request).start()
    with pytest.raises(UpstreamBusy):
        answer(llm, cancel_token=cancel_token)
    assert time.monotonic() - started < 1
    assert not second.prompts


def test_cancelled_answers_open_no_breaker(upstream: Upstream) -> None:
    model = OpenAILLM(LLMOptions("scripted-1", "sk-canary", upstream.url))
    llm = FallbackLLM([model], retries=0, breaker_failures=1, breaker_seconds=60)
    for _ in range(2):
        cancel_token = CancelToken()
        threading.Timer(0.2, cancel_token.request).start()
        with pytest.raises(Aborted):
            list(llm.stream(CompletionRequest([Message("user", "[[no_first_byte]]")], {}, cancel_token)))
    assert answer(llm)[0] == "You said: Hi"
    model.close()


def test_faults_are_those_of_servers_and_end_with_an_answer_or_a_probe() -> None:
    llm, (first, second) = several("first", "second")
    second.fails(UpstreamBusy("busy"))
    for error in (UpstreamUnreachable("away"), UpstreamDenied("key")):
        first.fails(error)
        with pytest.raises(AdapterError) if error.detail == "away" else contextlib.nullcontext():
            answer(llm)
        assert llm.faults() == [error, None]
        llm.probe()  # the server is there: a key that it refuses, it does not look at now
        assert llm.faults() == [None if error.detail == "away" else error, None]
    answer(llm)
    assert llm.faults() == [None, None]
