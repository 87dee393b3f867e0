"""The embedded model's prompt cache: a caller's own prompts are reused, and no other caller's."""

from collections.abc import Iterator
from typing import Any

import pytest

from chatbot.rag import prompt
from chatbot.rag.llms.openai import OpenAILLM
from chatbot.rag.llms.openai_answer import Answer
from chatbot.rag.types import CompletionRequest, Deadlines, LLMOptions, Message
from tests.rag.llms.conftest import ModelServer

pytestmark = pytest.mark.slow

QUESTION = "Please explain how the harbour of Rotterdam is dredged in winter and who pays for it. " * 8
ADA = "3f9c2ab417d0e655" * 4
EVE = "3f9d11ce42a98f03" * 4


@pytest.fixture
def llm(model_server: ModelServer) -> Iterator[OpenAILLM]:
    options = LLMOptions("m", "k", model_server.url, 2, deadlines=Deadlines(first_byte=120), cache_key="prefix")
    llm = OpenAILLM(options)
    yield llm
    llm.close()


def ask(llm: OpenAILLM, monkeypatch: pytest.MonkeyPatch, question: str, salt: str, *said: Message) -> dict[str, Any]:
    """Ask and return the usage that the server counted."""
    answers: list[Any] = []
    take = Answer.finish
    monkeypatch.setattr(Answer, "finish", lambda self: answers.append(self.usage) or take(self))
    list(llm.stream(CompletionRequest(prompt.build(question, said).messages, cache_salt=salt)))
    monkeypatch.undo()
    usage: dict[str, Any] = answers[0]
    return usage


def cached(usage: dict[str, Any]) -> int:
    count: int = usage["prompt_tokens_details"]["cached_tokens"]
    return count


def test_nothing_of_another_caller_is_reused(llm: OpenAILLM, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ask(llm, monkeypatch, QUESTION, ADA)
    assert first["prompt_tokens"] > 150
    # The template's own beginning, and what two prefixes happen to share.
    assert cached(ask(llm, monkeypatch, QUESTION, EVE)) < 12
    again = ask(llm, monkeypatch, QUESTION, ADA)
    assert cached(again) > 0.9 * again["prompt_tokens"]
    said = (Message("user", QUESTION), Message("assistant", "Well"))
    second = ask(llm, monkeypatch, "And why?", ADA, *said)
    assert cached(second) > 0.8 * first["prompt_tokens"]


def test_without_a_prefix_another_callers_prompt_would_be(llm: OpenAILLM, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(llm, monkeypatch, f"Now: {QUESTION}", "")
    usage = ask(llm, monkeypatch, f"Now: {QUESTION}", "")
    assert cached(usage) > 0.9 * usage["prompt_tokens"]
