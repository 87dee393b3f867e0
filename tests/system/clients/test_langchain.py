"""LangChain's `ChatOpenAI` and `OpenAIEmbeddings` in Python, unpatched, against a really running server."""

import json
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage, messages_from_dict, messages_to_dict
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.system.clients.conftest import TOKEN_TABLES
from tests.system.clients.samples import ANSWER, EMBEDDER, MODELS, NEXT_ANSWER, TOOL_ANSWER, WEATHER, City, weather

HELLO = [("system", "Be brief."), ("user", "hello")]
METHODS = ("json_schema", "function_calling", "json_mode")


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, address: str, named_token: str) -> ChatOpenAI:
    return ChatOpenAI(model=request.param, base_url=address, api_key=named_token)


def test_answers_whole_and_streamed(model: ChatOpenAI) -> None:
    answer = model.invoke(HELLO)
    assert (answer.content, answer.usage_metadata["output_tokens"]) == (ANSWER, 3)
    assert "".join(piece.content for piece in model.stream(HELLO)) == ANSWER
    assert [answer.content for answer in model.batch([HELLO, HELLO])] == [ANSWER, ANSWER]


def joined(pieces: Any) -> Any:
    first, *others = pieces
    return sum(others, first)


def stored(message: BaseMessage) -> BaseMessage:
    """Return a message as it comes back from a store of histories."""
    [kept] = messages_from_dict(json.loads(json.dumps(messages_to_dict([message]))))
    return kept


def test_every_answer_can_be_sent_back(model: ChatOpenAI) -> None:
    parts = model.model_copy(update={"output_version": "v1"})
    forms = [
        model.with_structured_output(City, method=method, include_raw=True) for method in ("json_schema", "json_mode")
    ]
    raw = [form.invoke(HELLO)["raw"] for form in forms]
    for answer in (model.invoke(HELLO), joined(model.stream(HELLO)), parts.invoke(HELLO), *raw):
        for kept in (answer, stored(answer)) if answer not in raw else (answer,):
            assert model.invoke([*HELLO, kept, HumanMessage("again")]).content == NEXT_ANSWER


def test_calls_tools(model: ChatOpenAI) -> None:
    calling = model.bind_tools([WEATHER])
    for called in (calling.invoke(HELLO), joined(calling.stream(HELLO))):
        [call] = called.tool_calls
        assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
        for kept in (called, stored(called)):
            results = [*HELLO, kept, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])]
            assert calling.invoke(results).content == TOOL_ANSWER
            assert "".join(piece.content for piece in calling.stream(results)) == TOOL_ANSWER
            assert model.invoke([*results, HumanMessage("again")]).content == NEXT_ANSWER


@pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings"
)  # of `parsed`, which OpenAI's client declares as None
@pytest.mark.parametrize("method", METHODS)
def test_parses_structured_answers(model: ChatOpenAI, method: Any) -> None:
    formed = model.with_structured_output(City, method=method)
    assert formed.invoke(HELLO) == City(city="Paris")
    assert list(formed.stream(HELLO))[-1] == City(city="Paris")


def test_gets_vectors(address: str, named_token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is told to send texts, it sends the tokens of OpenAI's embedders, with tables that else are fetched."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(TOKEN_TABLES))
    embedder = OpenAIEmbeddings(model=EMBEDDER, base_url=address, api_key=named_token)
    of_texts = embedder.model_copy(update={"check_embedding_ctx_length": False})
    texts = ["bees dance", "Gr\u00fc\u00dfe, \u4f60\u597d"]
    vectors = embedder.embed_documents(texts)
    assert [len(vector) for vector in vectors] == [16, 16]
    assert vectors == [pytest.approx(vector) for vector in of_texts.embed_documents(texts)]
