"""Events of a model's reasoning: shown to those that ask, filtered, and no part of the answer."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from chatbot.services.chat import following
from chatbot.services.chat.state import get_chat_state
from tests.conftest import MakeApp, Person, join
from tests.support.processes import Upstream
from tests.support.turns import events, text
from tests.support.waiting import wait_for


@pytest.fixture
def thinker(make_app: MakeApp, upstream: Upstream) -> Iterator[Person]:
    app = make_app(LLM="openai", OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="k")
    yield join(app.test_client(), "ada")
    with app.app_context():
        for model in get_chat_state().llm().models:
            model.close()


def reasoning(found: list[tuple[int, str, Any]]) -> str:
    assert [data["offset"] for _, name, data in found if name == "reasoning"][:1] in ([], [0])
    return "".join(data["text"] for _, name, data in found if name == "reasoning")


@pytest.mark.parametrize("dialect", ["think", "parts"])
def test_reasoning_comes_before_the_answer_where_it_is_asked_for(thinker: Person, dialect: str) -> None:
    body = {"message": f"[[dialect {dialect}]]", "stream": True}
    found = events(thinker.call("POST", "/api/chat/?reasoning=true", body))
    assert reasoning(found) == {"think": "Is <it> so?", "parts": "Okay"}[dialect]
    assert text(found) == found[-1][2]["bot_response"] == "Hello there"
    names = [name for _, name, _ in found]
    assert names.index("reasoning") < names.index("delta")
    assert {number for number, name, _ in found if name == "reasoning"} == {0}


def test_reasoning_of_a_turn_that_ends_at_once_is_shown(thinker: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    real = following.wait_for_first_text

    def late(turn_id: UUID, seconds: float) -> following.FirstText:
        wait_for(lambda: following.find_text(turn_id) is None)
        return real(turn_id, seconds)

    monkeypatch.setattr(following, "wait_for_first_text", late)
    found = events(thinker.call("POST", "/api/chat/?reasoning=true", {"message": "[[dialect think]]", "stream": True}))
    assert (reasoning(found), text(found)) == ("Is <it> so?", "Hello there")


def test_reasoning_is_shown_to_nobody_else(thinker: Person) -> None:
    found = events(thinker.call("POST", "/api/chat/", {"message": "[[dialect think]]", "stream": True}))
    assert (reasoning(found), text(found)) == ("", "Hello there")
    turn_id = found[-1][2]["id"]
    later = events(thinker.call("GET", f"/api/chat/{turn_id}/events/?reasoning=true"))
    assert (reasoning(later), text(later)) == ("", "Hello there")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?reasoning=null", {}),
        ("?reasoning=", {}),
        ("?reasoning=true&reasoning=true", {}),
        ("", {"Last-Event-ID": "x"}),
    ],
)
def test_invalid_parameters_of_a_stream_open_no_turn(
    ada: Person, query: str, headers: dict[str, str], stream: bool
) -> None:
    response = ada.call("POST", f"/api/chat/{query}", {"message": "hello", "stream": stream}, headers=headers)
    assert (response.status_code, response.get_json()["code"]) == (400, "validation_failed")
    assert ada.history() == []
    assert ada.call("POST", "/api/chat/?reasoning=True", {"message": "hello"}).status_code == 200
