"""Client tokens: a customer's server signs its own users in."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import ApiKey, ExternalIdentity
from chatbot.services.operations import retention
from tests.api.test_api_keys import KEYS, make, use
from tests.api.test_documents import HOURS, send, work
from tests.conftest import MakeApp, Person, join
from tests.support.roles import disable

pytestmark = pytest.mark.both_databases
TOKENS = "/api/users/client-tokens/"
CHAT = "/api/chat/"
HI = {"message": "Hi"}


def mint(customer: Person, subject: str = "user-1", **values: Any) -> TestResponse:
    key = make(customer, "mint")["secret"]
    return use(customer, key, "POST", TOKENS, {"subject": subject, **values})


def token(customer: Person, subject: str = "user-1", **values: Any) -> str:
    made: str = mint(customer, subject, **values).get_json()["token"]
    return made


def test_token_is_of_an_account_of_its_own(ada: Person, eve: Person) -> None:
    made = mint(ada).get_json()
    assert made["expires_in"] == 600
    turn = use(ada, made["token"], "POST", CHAT, HI).get_json()
    again = token(ada)
    assert [one["id"] for one in use(ada, again, "GET", "/api/chat-history/").get_json()["items"]] == [turn["id"]]
    assert use(ada, token(ada, "user-2"), "GET", "/api/chat-history/").get_json()["items"] == []
    assert ada.history() == []
    assert mint(eve).get_json()["user_id"] != made["user_id"]  # the same subject of another customer
    assert use(ada, again).get_json()["id"] == made["user_id"]


def test_only_keys_that_mint_make_tokens(ada: Person) -> None:
    body = {"subject": "x"}
    assert use(ada, make(ada, "chat")["secret"], "POST", TOKENS, body).get_json()["code"] == "scope_missing"
    assert use(ada, token(ada), "POST", TOKENS, body).get_json()["code"] == "scope_missing"


def test_token_ends(ada: Person) -> None:
    secret = token(ada, expires_in=60)
    assert use(ada, secret, "POST", CHAT, HI).status_code == 200
    with time_machine.travel(now() + timedelta(seconds=61)):
        assert use(ada, secret, "POST", CHAT, HI).status_code == 401


def test_token_opens_chats_and_nothing_else(ada: Person) -> None:
    secret = token(ada)
    for path in ("/api/documents/", "/api/rooms/", KEYS, "/api/analytics/usage/", "/v1/models"):
        assert use(ada, secret, "GET", path).status_code == 403
    assert ada.call("GET", KEYS).get_json()["items"][0]["scopes"] == ["mint"]


def test_answers_are_from_the_named_collections_alone(app: Flask, ada: Person, eve: Person) -> None:
    send(ada, "Opening hours", HOURS)
    work(app)
    home = ada.call("GET", "/api/collections/").get_json()["items"][0]["id"]
    question = {"message": "When is the library open?"}
    granted = use(ada, token(ada, collection_ids=[home]), "POST", CHAT, question).get_json()
    assert {one["title"] for one in granted["citations"]} == {"Opening hours"}
    without = token(ada)
    assert use(ada, without, "POST", CHAT, question).get_json()["citations"] == []
    assert use(ada, without, "POST", CHAT, {**question, "collection_ids": [home]}).status_code == 404
    assert mint(eve, collection_ids=[home]).status_code == 404
    with app.app_context(), read() as connection:  # no account was made for it
        assert connection.scalar(sa.select(sa.func.count()).select_from(ExternalIdentity)) == 1
    # What an earlier token let them read is not quoted to a later one without it.
    (first, _) = use(ada, without, "GET", "/api/chat-history/").get_json()["items"]
    assert {one["title"] + one["quote"] for one in first["citations"]} == {""}


def test_shared_collections_of_others_are_not_searched(app: Flask, ada: Person, eve: Person) -> None:
    send(eve, "Opening hours", HOURS)
    work(app)
    home = eve.call("GET", "/api/collections/").get_json()["items"][0]["id"]
    eve.call("PATCH", f"/api/collections/{home}/", {"visibility": "shared"})
    question = {"message": "When is the library open?", "collection_ids": [home]}
    assert use(ada, token(ada), "POST", CHAT, question).status_code == 404


def test_grant_ends_with_the_rights_of_the_customer(app: Flask, ada: Person, eve: Person) -> None:
    send(eve, "Opening hours", HOURS)
    work(app)
    home = eve.call("GET", "/api/collections/").get_json()["items"][0]["id"]
    eve.call("PATCH", f"/api/collections/{home}/", {"visibility": "shared"})
    secret = token(ada, collection_ids=[home])
    question = {"message": "When is the library open?"}
    assert use(ada, secret, "POST", CHAT, question).get_json()["citations"]
    eve.call("PATCH", f"/api/collections/{home}/", {"visibility": "private"})
    assert use(ada, secret, "POST", CHAT, question).get_json()["citations"] == []
    (first, _) = use(ada, secret, "GET", "/api/chat-history/").get_json()["items"]
    assert {one["title"] + one["quote"] for one in first["citations"]} == {""}


def test_token_ends_with_the_account_of_the_customer(app: Flask, ada: Person, eve: Person) -> None:
    used = token(ada)
    unused = token(ada)
    assert use(eve, used, "POST", CHAT, HI).status_code == 200
    with app.app_context():
        disable("ada@example.org")
    assert use(eve, unused, "POST", CHAT, HI).status_code == 401


def test_new_users_are_bounded_and_known_ones_are_not(make_app: MakeApp) -> None:
    ada = join(make_app(RATELIMIT_ENABLED="true", RATE_CLIENT_USER="2 per day").test_client(), "ada")
    key = make(ada, "mint")["secret"]
    subjects = ["user-1", "user-2", "user-3", "user-1"]
    answers = [use(ada, key, "POST", TOKENS, {"subject": subject}).status_code for subject in subjects]
    assert answers == [201, 201, 429, 201]


def test_turns_of_a_token_are_bounded(ada: Person) -> None:
    secret = token(ada, max_turns=2)
    assert [use(ada, secret, "POST", CHAT, HI).status_code for _ in range(3)] == [200, 200, 429]
    assert use(ada, token(ada), "POST", CHAT, HI).status_code == 200
    spent = token(ada, budget={"metric": "tokens", "window": "day", "limit": 5})
    assert use(ada, spent, "POST", CHAT, HI).get_json()["code"] == "budget_exhausted"


@pytest.mark.parametrize(
    "values",
    [
        {"subject": ""},
        {"subject": " "},
        {"subject": "x" * 256},
        {"expires_in": 59},
        {"expires_in": 3601},
        {"expires_in": "600"},
        {"max_turns": 0},
        {"max_turns": 1, "budget": {"metric": "turns", "window": "day", "limit": 1}},
        {"collection_ids": ["x"]},
        {"scopes": ["admin"]},
    ],
    ids=str,
)
def test_bad_values_are_refused(ada: Person, values: dict[str, Any]) -> None:
    body = {"subject": "user-1", **values}
    answer = use(ada, make(ada, "mint")["secret"], "POST", TOKENS, body)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "validation_failed")


def test_expired_tokens_go_with_the_purge(context: Flask, ada: Person) -> None:
    token(ada, expires_in=60)
    with time_machine.travel(now() + timedelta(seconds=61)):
        retention.purge(timedelta(days=30))
        with read() as connection:
            assert connection.scalars(sa.select(ApiKey.name)).all() == ["script"]
