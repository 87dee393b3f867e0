"""Budgets of users and API keys: turns reserve from them, and none uses more than there is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import Budget
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.operations import retention
from tests.api.test_api_keys import KEYS, make, use
from tests.api.test_auth import log_in
from tests.conftest import MakeApp, Person, join
from tests.support import room_bot
from tests.support.budgets import BUDGETS, left, set_budgets, settled
from tests.support.roles import promote
from tests.support.turns import events

pytestmark = pytest.mark.both_databases
CHAT = "/api/chat/"
HI = {"message": "Hi"}


def log_in_again(person: Person) -> Person:
    return replace(person, access_token=log_in(person.client).get_json()["access_token"])


def chat_twice(person: Person) -> list[int]:
    person = log_in_again(person)
    return [person.call("POST", CHAT, HI).status_code for _ in range(2)]


def test_turns_beyond_a_budget_are_refused_and_leave_nothing(root: Person, ada: Person, eve: Person) -> None:
    assert set_budgets(root, ada, turns_day=2).status_code == 200
    assert [ada.call("POST", CHAT, HI).status_code for _ in range(3)] == [200, 200, 429]
    refused = ada.call("POST", CHAT, HI)
    problem = refused.get_json()
    assert (problem["code"], problem["retryable"]) == ("budget_exhausted", False)
    assert problem["budget"].pop("resets_at").endswith("T00:00:00.000Z")
    assert problem["budget"] == {
        "metric": "turns", "window": "day", "limit": 2, "used": 2, "reserved": 0, "remaining": 0, "applies_to": "user",
    }  # fmt: skip
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert len(ada.history()) == 2
    assert eve.call("POST", CHAT, HI).status_code == 200


def test_window_that_ends_gives_everything_back(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=1, turns_month=2)
    with time_machine.travel(datetime(2028, 2, 28, 10, tzinfo=UTC)) as clock:
        assert chat_twice(ada) == [200, 429]
        clock.shift(timedelta(days=1))
        assert left(log_in_again(ada)) == {"turns_day": (0, 0), "turns_month": (1, 0)}
        assert chat_twice(ada) == [200, 429]
        clock.move_to(datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC))
        assert chat_twice(ada) == [429, 429]
        clock.shift(timedelta(seconds=1))
        assert chat_twice(ada) == [200, 429]


def test_answer_is_shortened_to_what_is_left(root: Person, ada: Person, llm: MemoryLLM) -> None:
    set_budgets(root, ada, tokens_month=100_000)
    needed = ada.call("POST", f"{CHAT}estimate/", HI).get_json()
    assert needed["max_tokens"] > 64
    set_budgets(root, ada, tokens_month=needed["prompt_tokens"] + 70)
    ada.call("POST", CHAT, HI)
    assert llm.requests[-1].parameters["max_tokens"] == 70
    used = settled(ada)["tokens_month"][0]
    assert used == sum(ada.history()[0]["usage"].values())
    set_budgets(root, ada, tokens_month=used + needed["prompt_tokens"] + 63)
    answer = ada.call("POST", CHAT, HI)
    assert (answer.status_code, answer.get_json()["code"]) == (429, "budget_exhausted")
    assert len(llm.requests) == 1
    assert ada.history()[-1]["status"] == "failed"
    assert settled(ada)["tokens_month"] == (used, 0)


def test_short_answers_are_asked_for_as_they_are(root: Person, ada: Person, llm: MemoryLLM) -> None:
    set_budgets(root, ada, tokens_ever=100_000)
    ada.call("POST", CHAT, HI)
    assert "max_tokens" not in llm.requests[-1].parameters
    ada.call("POST", CHAT, {**HI, "max_tokens": 5})
    assert llm.requests[-1].parameters["max_tokens"] == 5


def test_cost_is_that_of_the_price_or_a_millionth_for_each_token(make_app: MakeApp) -> None:
    app = make_app(MODEL_PRICES="gpt-3.5-turbo=2/10")
    root = join(app.test_client(), "root")
    ada = join(app.test_client(), "ada")
    promote(app, root)
    set_budgets(root, ada, micro_usd_ever=1_000_000)
    assert ada.call("POST", f"{CHAT}estimate/", HI).get_json()["max_micro_usd"] > 1500  # of 150 tokens and the prompt
    usage = ada.call("POST", CHAT, HI).get_json()["usage"]
    assert settled(ada)["micro_usd_ever"][0] == usage["prompt_tokens"] * 2 + usage["completion_tokens"] * 10


def test_model_without_a_price_is_not_free(root: Person, ada: Person) -> None:
    set_budgets(root, ada, micro_usd_ever=100_000)
    assert ada.call("POST", f"{CHAT}estimate/", HI).get_json()["max_micro_usd"] is None
    usage = ada.call("POST", CHAT, HI).get_json()["usage"]
    assert settled(ada)["micro_usd_ever"][0] == sum(usage.values())


def test_what_is_left_is_in_headers_and_in_the_last_event(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=5, tokens_month=10_000)
    answer = ada.call("POST", CHAT, HI)
    used = sum(answer.get_json()["usage"].values())
    assert answer.headers["Budget-Remaining"] == f"user-tokens-month={10_000 - used}, user-turns-day=4"
    stream = ada.call("POST", CHAT, {**HI, "stream": True})
    assert "user-turns-day=3" in stream.headers["Budget-Remaining"]
    done = next(data for _, name, data in events(stream) if name == "done")
    assert [(one["metric"], one["remaining"]) for one in done["budgets"]] == [
        ("tokens", 10_000 - used - sum(done["usage"].values())),
        ("turns", 3),
    ]


def test_without_budgets_nothing_is_told(ada: Person) -> None:
    stream = ada.call("POST", CHAT, {**HI, "stream": True})
    assert "Budget-Remaining" not in stream.headers
    assert "budgets" not in next(data for _, name, data in events(stream) if name == "done")
    assert ada.call("GET", BUDGETS).get_json() == {"items": []}


def test_key_has_a_budget_of_its_own_beside_its_users(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=3)
    made = make(ada, "chat", budget={"metric": "turns", "window": "month", "limit": 1})
    assert made["budget"]["limit"] == 1
    key = made["secret"]
    answer = use(ada, key, "POST", CHAT, HI)
    assert answer.headers["Budget-Remaining"] == "user-turns-day=2, api_key-turns-month=0"
    refused = use(ada, key, "POST", CHAT, HI).get_json()
    assert (refused["code"], refused["budget"]["applies_to"]) == ("budget_exhausted", "api_key")
    assert [one["applies_to"] for one in use(ada, key, "GET", BUDGETS).get_json()["items"]] == ["user", "api_key"]
    assert left(ada) == {"turns_day": (1, 0)}  # those of the session
    assert ada.call("POST", CHAT, HI).status_code == 200
    assert ada.call("GET", KEYS).get_json()["items"][0]["budget"]["used"] == 1


def test_key_for_rooms_has_no_budget_of_its_own(ada: Person) -> None:
    """A room's bot answers for the user, whichever key asked."""
    body = {"name": "x", "scopes": ["rooms"], "budget": {"metric": "turns", "window": "day", "limit": 1}}
    assert "budget" in ada.call("POST", KEYS, body).get_json()["errors"]


def test_rotated_key_goes_on_with_the_budget(ada: Person) -> None:
    old = make(ada, "chat", budget={"metric": "turns", "window": "month", "limit": 2})
    use(ada, old["secret"], "POST", CHAT, HI)
    new = ada.call("POST", f"{KEYS}{old['id']}/rotate/", {"overlap_seconds": 600}).get_json()
    assert new["budget"]["used"] == 1
    assert use(ada, new["secret"], "POST", CHAT, HI).status_code == 200
    assert [use(ada, one["secret"], "POST", CHAT, HI).status_code for one in (old, new)] == [429, 429]


def test_budget_of_a_deleted_key_goes_with_the_purge(context: Flask, ada: Person) -> None:
    made = make(ada, "chat", budget={"metric": "turns", "window": "month", "limit": 2})
    retention.purge(timedelta(days=30))
    assert use(ada, made["secret"], "POST", CHAT, HI).status_code == 200
    ada.call("DELETE", f"{KEYS}{made['id']}/")
    retention.purge(timedelta(days=30))
    assert not _rows(Budget)


def test_budgets_are_replaced_as_a_whole_and_keep_what_is_used(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=5, tokens_ever=100_000)
    ada.call("POST", CHAT, HI)
    changed = set_budgets(root, ada, turns_day=1, turns_month=9).get_json()
    shown = [(one["metric"], one["window"], one["limit"], one["used"]) for one in changed["budgets"]]
    assert shown == [("turns", "day", 1, 1), ("turns", "month", 9, 0)]
    (listed,) = root.call("GET", "/api/admin/users/?q=ada").get_json()["items"]
    assert listed["budgets"] == changed["budgets"]
    assert ada.call("POST", CHAT, HI).status_code == 429
    assert set_budgets(root, ada).get_json()["budgets"] == []
    assert ada.call("POST", CHAT, HI).status_code == 200
    acts = root.call("GET", f"/api/admin/audit/?user_id={ada.id}").get_json()["items"]
    assert acts[-1]["details"]["budgets"][0] == {"metric": "turns", "window": "day", "limit": 5}


@pytest.mark.parametrize(
    "budgets",
    [
        [{"metric": "turns", "window": "day", "limit": -1}],
        [{"metric": "turns", "window": "day", "limit": 1.5}],
        [{"metric": "turns", "window": "day", "limit": 10**15 + 1}],
        [{"metric": "words", "window": "day", "limit": 1}],
        [{"metric": "turns", "window": "week", "limit": 1}],
        [{"metric": "turns", "window": "day", "limit": 1, "used": 0}],
        [{"metric": "turns", "window": "day", "limit": 1}, {"metric": "turns", "window": "day", "limit": 2}],
        [{"metric": "turns", "window": "day", "limit": 1}] * 10,
        None,
    ],
)
def test_bad_budgets_are_refused(root: Person, ada: Person, budgets: Any) -> None:
    answer = root.call("PATCH", f"/api/admin/users/{ada.id}/", {"budgets": budgets})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "validation_failed")
    assert left(ada) == {}


def test_openai_clients_meet_the_same_budgets(root: Person, ada: Person) -> None:
    set_budgets(root, ada, turns_day=1, tokens_day=10_000)
    body = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "Hi"}]}
    answer = ada.call("POST", "/v1/chat/completions", body)
    assert "user-turns-day=0" in answer.headers["Budget-Remaining"]
    refused = ada.call("POST", "/v1/chat/completions", body)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (429, "budget_exhausted")
    assert refused.headers["x-should-retry"] == "false"


def test_embeddings_use_tokens(root: Person, ada: Person) -> None:
    model = ada.call("GET", "/v1/models").get_json()["data"][-1]["id"]
    body = {"model": model, "input": "some words to embed"}
    set_budgets(root, ada, tokens_day=8, turns_day=0)
    answer = ada.call("POST", "/v1/embeddings", body)
    assert settled(ada) == {"tokens_day": (answer.get_json()["usage"]["total_tokens"], 0), "turns_day": (0, 0)}
    assert ada.call("POST", "/v1/embeddings", body).get_json()["error"]["code"] == "budget_exhausted"


def test_budget_of_the_asker_bounds_a_rooms_bot(root: Person, ada: Person) -> None:
    room = ada.call("POST", "/api/rooms/", {"name": "Lake", "bot": "always"}).get_json()
    set_budgets(root, ada, turns_day=1)
    assert [room_bot.ask(ada, room, "hi")["status"] for _ in range(2)] == ["completed", "failed"]
    assert settled(ada) == {"turns_day": (1, 0)}


def _rows(model: type[Any]) -> int:
    with read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model)) or 0
