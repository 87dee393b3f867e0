"""The division of a server's prompt cache by caller: the secret of each, and the way of each server."""

import pytest
from flask import current_app

from chatbot import adapters
from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import MakeApp, Person


def test_each_caller_has_a_secret_of_their_own(ada: Person, eve: Person, llm: MemoryLLM) -> None:
    for person in (ada, ada, eve):
        person.says("Hi")
    first, second, other = (request.cache_salt for request in llm.requests)
    assert first == second != other
    assert {len(first), len(other)} == {64}


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({"OPENAI_API_KEY": "k"}, ["prompt_cache_key"]),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://eu.api.openai.com/v1"}, ["prompt_cache_key"]),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}, ["cache_salt"]),
        ({"OPENAI_BASE_URL": "http://openai.com.example/v1"}, ["cache_salt"]),
        ({}, ["prefix"]),
    ],
)
def test_each_server_has_its_way(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], keys: list[str]
) -> None:
    monkeypatch.setenv("EMBEDDED_MODEL_URL", "http://127.0.0.1:9/v1")
    app = make_app(**{"LLM": "openai", **settings})
    with app.app_context():
        assert [options.cache_key for options in adapters.build_llm_options(current_app.config)] == keys


def test_fallback_has_the_way_of_its_own_server(make_app: MakeApp) -> None:
    fallback = "m@http://127.0.0.1:8000/v1"
    app = make_app(LLM="openai", OPENAI_API_KEY="k", OPENAI_FALLBACK_MODELS=fallback)
    with app.app_context():
        assert [options.cache_key for options in adapters.build_llm_options(current_app.config)] == [
            "prompt_cache_key",
            "cache_salt",
        ]
