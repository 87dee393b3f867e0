"""The contract of every language model's adapter; the adapters come from the registry."""

from collections.abc import Callable, Iterator

import pytest

from chatbot.rag import errors, pipeline, prompt, registry, token_counts
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.llms.openai import OpenAILLM
from chatbot.rag.ports import LLM
from chatbot.rag.types import CancelToken, CompletionRequest, Deadlines, Finish, LLMOptions, Message, Question
from tests.support.processes import Upstream

MakeLLM = Callable[[], LLM]
QUESTION = "What is up?"


@pytest.fixture(params=registry.names("llms"))
def llm(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[LLM]:
    options = LLMOptions("scripted-1", None, upstream.url, deadlines=Deadlines(1, 0.5, 0.5, 3))
    model: LLM = registry.load("llms", request.param)(options)
    yield model
    if isinstance(model, OpenAILLM):
        model.close()


def test_pieces_come_first_and_one_finish_last(llm: LLM) -> None:
    *pieces, finish = list(llm.stream(CompletionRequest(prompt.build(QUESTION).messages)))
    assert all(isinstance(piece, str) and piece for piece in pieces)
    assert QUESTION in "".join(map(str, pieces))
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.model) == ("stop", llm.name)
    assert finish.prompt_tokens
    assert finish.completion_tokens


def test_model_has_the_configured_name(llm: LLM) -> None:
    assert llm.name == "scripted-1"


def test_reader_that_stops_early_harms_nobody(llm: LLM) -> None:
    stream = llm.stream(CompletionRequest(prompt.build(QUESTION).messages))
    next(stream)
    stream.close()
    assert isinstance(list(llm.stream(CompletionRequest(prompt.build(QUESTION).messages)))[-1], Finish)


def test_pipeline_passes_pieces_on(llm: LLM) -> None:
    assert QUESTION in "".join(
        piece
        for piece in pipeline.answer(Question(QUESTION), llm, 1000, token_counts.estimate)
        if isinstance(piece, str)
    )


def test_scripted_model_says_and_fails_as_told() -> None:
    llm = MemoryLLM()
    llm.says("Hello", " there", finish="length")
    llm.fails(errors.UpstreamBusy(), "Half")
    assert list(llm.stream(CompletionRequest([Message("user", "a b")]))) == [
        "Hello",
        " there",
        Finish("length", "memory", 2, 2),
    ]
    stream = llm.stream(CompletionRequest([Message("user", "a b")]))
    assert next(stream) == "Half"
    with pytest.raises(errors.UpstreamBusy):
        next(stream)


def test_unknown_adapter_is_one_clear_sentence() -> None:
    with pytest.raises(errors.UnknownAdapter, match="'opnai' among the llms; known: openai, memory"):
        registry.load("llms", "opnai")


def test_missing_library_is_one_clear_sentence_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ADAPTERS["llms"], "far", "no_such_library.llm:FarLLM")
    with pytest.raises(errors.MissingLibrary, match="pip install no_such_library"):
        registry.load("llms", "far")


def test_adapter_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("theirs", "chatbot.rag.llms.memory:MemoryLLM", "chatbot.llms")

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point] if group == "chatbot.llms" and name in {None, "theirs"} else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert registry.load("llms", "theirs") is MemoryLLM
    assert registry.names("llms") == ["openai", "memory", "theirs"]


def test_answer_that_is_ended_after_a_piece_gets_its_fence_closed() -> None:
    llm = MemoryLLM()
    cancel_token = CancelToken()
    llm.says("```\n![a](u)", " never")
    received = []
    with pytest.raises(errors.Aborted):
        for piece in pipeline.answer(Question(QUESTION, cancel_token=cancel_token), llm, 1000, token_counts.estimate):
            if isinstance(piece, str):
                received.append(piece)
                cancel_token.request()
    assert "".join(received) == "```\n![a](u)\n```"
