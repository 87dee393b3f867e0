"""Reports of usage over HTTP: one's own, and those of all users for administrators."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from chatbot.rag.errors import ModelUnavailable, UnknownAdapter, UpstreamTimeout
from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support.roles import promote
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases
USAGE = "/api/analytics/usage/"


def get(person: Person, path: str) -> Any:
    response = person.call("GET", f"/api/analytics/{path}")
    assert response.status_code == 200, response.get_json()
    return response.get_json()


def fail(llm: MemoryLLM) -> None:
    def stream(_: Any) -> Any:
        raise UpstreamTimeout
        yield

    llm.stream = stream


def test_usage_is_the_sum_of_ones_own_turns(app: Flask, ada: Person, eve: Person) -> None:
    turns = [ada.says("one").get_json(), ada.says("two words").get_json()]
    eve.says("not ada's")
    ada.call("DELETE", "/api/chat-history/")
    report = get(ada, "usage/")
    bucket = report["buckets"][0]
    assert (bucket["turns"], bucket["group"], bucket["failed"]) == (2, None, 0)
    for name in ("prompt_tokens", "completion_tokens"):
        assert bucket[name] == report["total"][name] == sum(turn["usage"][name] for turn in turns)
    assert bucket["micro_usd"] is None
    assert bucket["start"].endswith("T00:00:00+00:00")
    by_model = get(ada, "usage/?group_by=model&bucket=month&tz=Asia/Tokyo")["buckets"]
    assert [(one["group"], one["turns"]) for one in by_model] == [(turns[0]["model"], 2)]


def test_running_turn_counts_before_it_ends(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    assert get(ada, "usage/")["total"]["turns"] == 1
    gate.set()
    ended(ada, turn["id"])


def test_usage_by_key_and_collection(app: Flask, ada: Person) -> None:
    key = ada.call("POST", "/api/users/api-keys/", {"name": "k", "scopes": ["chat", "analytics"]}).get_json()
    headers = {"Authorization": f"Bearer {key['secret']}"}
    assert ada.client.post("/api/chat/", json={"message": "hi"}, headers=headers).status_code == 200
    collection = ada.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"]
    ada.says("hi", collection_ids=[collection])
    report = ada.client.get(f"{USAGE}?group_by=api_key", headers=headers).get_json()
    assert sorted(one["group"] or "" for one in report["buckets"]) == ["", key["id"]]
    groups = {one["group"]: one["turns"] for one in get(ada, "usage/?group_by=collection")["buckets"]}
    assert groups == {None: 1, collection: 1}


def test_usage_as_csv_has_the_rows_of_the_report(app: Flask, ada: Person) -> None:
    ada.says("hi")
    response = ada.call("GET", f"{USAGE}?group_by=model", headers={"Accept": "text/csv"})
    assert response.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    bucket = get(ada, "usage/?group_by=model")["buckets"][0]
    assert [(one["start"], one["group"], one["turns"]) for one in rows] == [(bucket["start"], bucket["group"], "1")]
    assert rows[0]["micro_usd"] == ""


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("tz=Mars/Base", "validation_failed"),
        ("from=yesterday", "validation_failed"),
        ("from=2026-02-01&to=2026-01-01", "validation_failed"),
        ("bucket=minute", "validation_failed"),
        ("group_by=user", "validation_failed"),
        ("from=2025-01-01&to=2026-03-01", "too_many_buckets"),
        ("from=2025-01-01&to=2025-12-01&bucket=hour", "too_many_buckets"),
        ("from=0001-01-01&to=9999-12-31T23:59:59-23:59", "validation_failed"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_wrong_period_is_refused(app: Flask, ada: Person, query: str, code: str, accept: str) -> None:
    response = ada.call("GET", f"{USAGE}?{query}", headers={"Accept": accept})
    assert (response.status_code, response.get_json()["code"]) == (400, code)


def test_overview_has_the_turns_of_all_users(app: Flask, ada: Person, eve: Person) -> None:
    ada.says("one")
    eve.says("two")
    promote(app, ada)
    found = get(ada, "overview/?group_by=entry")
    assert (found["users"], found["total"]["turns"]) == (2, 2)
    assert [(one["group"], one["turns"]) for one in found["buckets"]] == [("api", 2)]


def test_users_are_listed_by_what_they_spent(app: Flask, ada: Person, eve: Person) -> None:
    ada.says("one")
    for _ in range(2):
        eve.says("two")
    promote(app, ada)
    page = get(ada, "users/?limit=1")
    assert [(one["username"], one["turns"]) for one in page["items"]] == [("eve", 2)]
    rest = get(ada, f"users/?limit=1&cursor={page['next_cursor']}")
    assert ([one["username"] for one in rest["items"]], rest["next_cursor"]) == (["ada"], None)
    assert [one["username"] for one in get(ada, "users/?q=EVE")["items"]] == ["eve"]
    assert get(ada, "users/?q=%25")["items"] == []


def test_errors_models_and_ratings_lead_to_their_turns(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    turn = ada.says("one").get_json()
    ada.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": -1, "comment": "secret"})
    fail(llm)
    ada.says("two")
    failed = ada.history()[-1]
    promote(app, ada)
    errors = get(ada, "errors/")["items"]
    assert [(one["code"], one["turns"]) for one in errors] == [("upstream_timeout", 1)]
    assert UUID(errors[0]["last_turn_id"]) == UUID(failed["id"])
    feedback = get(ada, "feedback/")
    assert (feedback["up"], feedback["down"]) == (0, 1)
    assert [(one["turn_id"], one["rating"]) for one in feedback["items"]] == [(turn["id"], -1)]
    assert "secret" not in str(feedback)
    models = get(ada, "models/")["items"]
    assert {one["model"]: (one["turns"], one["failed"]) for one in models} == {turn["model"]: (1, 0), None: (1, 1)}


def test_errors_of_one_code_are_counted_together(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    kinds = iter([ModelUnavailable, UnknownAdapter, UpstreamTimeout])

    def stream(_: Any) -> Any:
        raise next(kinds)
        yield

    llm.stream = stream
    for _ in range(3):
        ada.says("hi")
    promote(app, ada)
    found = [(one["code"], one["turns"]) for one in get(ada, "errors/")["items"]]
    assert found == [("model_unavailable", 2), ("upstream_timeout", 1)]


def test_turns_of_a_period_are_listed_with_their_usage(app: Flask, ada: Person, eve: Person, llm: MemoryLLM) -> None:
    turn = ada.says("one").get_json()
    eve.says("two words")
    ada.call("DELETE", "/api/chat-history/")  # their usage is kept
    fail(llm)
    eve.says("three")
    failed = eve.history()[-1]
    promote(app, ada)
    newest, second, first = get(ada, "turns/")["items"]
    assert first["turn_id"] == turn["id"]
    assert (first["user_id"], second["user_id"]) == (ada.id, eve.id)
    assert {name: first[name] for name in ("status", "entry", "model", "code")} == {
        "status": "completed", "entry": "api", "model": turn["model"], "code": None
    }  # fmt: skip
    assert (first["prompt_tokens"], first["completion_tokens"]) == tuple(turn["usage"].values())
    assert (newest["turn_id"], newest["code"]) == (failed["id"], "upstream_timeout")
    assert [one["turn_id"] for one in get(ada, "turns/?status=failed")["items"]] == [failed["id"]]
    assert get(ada, "turns/?to=2020-01-01&from=2019-12-01")["items"] == []


def test_pages_of_turns_are_all_of_them_once(app: Flask, ada: Person) -> None:
    turns = [ada.says(str(number)).get_json()["id"] for number in range(5)]
    promote(app, ada)
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = get(ada, f"turns/?limit=2{cursor and '&cursor='}{cursor}")
        found += [one["turn_id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert found == turns[::-1]


def test_questions_without_passages_are_told(app: Flask, ada: Person) -> None:
    collection = ada.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"]
    ada.says("no retrieval", grounding="off")
    asked = ada.says("Where are the tapirs?", collection_ids=[collection]).get_json()
    promote(app, ada)
    found = get(ada, "knowledge/")
    assert (found["turns"], found["with_passages"], found["grounded"]) == (1, 0, None)
    assert [one["turn_id"] for one in found["unanswered"]] == [asked["id"]]


@pytest.mark.parametrize("name", ["overview", "users", "models", "errors", "knowledge", "feedback", "turns", "live"])
def test_reports_of_all_users_are_for_administrators(app: Flask, ada: Person, name: str) -> None:
    response = ada.call("GET", f"/api/analytics/{name}/")
    assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")
