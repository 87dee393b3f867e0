"""Tokens of foreign issuers, and the accounts that they open."""

import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chatbot.database.types import now
from chatbot.services.accounts import issuers
from tests.conftest import MakeApp, Person, join
from tests.support.jwks_server import Issuer
from tests.support.roles import disable

ME = "/api/users/me/"


@pytest.fixture
def trusting(make_app: MakeApp, issuer: Issuer) -> Flask:
    """Return an application that accepts tokens of the issuer."""
    return make_app(AUTH_JWKS=issuer.setting)


def use(client: FlaskClient, token: str, path: str = ME, method: str = "GET", body: Any = None) -> TestResponse:
    return client.open(path, method=method, json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.both_databases
def test_account_is_made_at_first_sight_and_found_again(trusting: Flask, issuer: Issuer) -> None:
    client = trusting.test_client()
    first = use(client, issuer.sign("ada"))
    assert first.status_code == 200
    assert use(client, issuer.sign("ada", email="ada@example.org")).get_json()["id"] == first.get_json()["id"]
    assert use(client, issuer.sign("eve")).get_json()["id"] != first.get_json()["id"]
    assert first.get_json()["email"].endswith("@external.invalid")
    turn = use(client, issuer.sign("ada"), "/api/chat/", "POST", {"message": "Hi"})
    assert turn.status_code == 200
    seen = use(client, issuer.sign("ada"), "/api/chat-history/").get_json()["items"]
    assert [one["id"] for one in seen] == [turn.get_json()["id"]]
    assert use(client, issuer.sign("eve"), "/api/chat-history/").get_json()["items"] == []


def test_email_of_a_token_takes_no_account_over(trusting: Flask, issuer: Issuer) -> None:
    ada = join(trusting.test_client(), "ada")
    me = use(ada.client, issuer.sign("someone", email="ada@example.org", email_verified=True)).get_json()
    assert me["id"] != ada.id
    assert me["email"] != "ada@example.org"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"aud": None},
        {"iss": "https://elsewhere.example.org"},
        {"exp": timedelta(seconds=-60)},
        {"exp": None},
        {"nbf": timedelta(seconds=600)},
        {"subject": None},
        {"subject": ""},
        {"subject": "x" * 256},
        {"subject": "a\0b"},
        {"subject": 4711},
    ],
    ids=str,
)
def test_token_that_is_not_for_us_is_refused(trusting: Flask, issuer: Issuer, claims: dict[str, Any]) -> None:
    moment = int(time.time())  # here: two processes that collect tests would give them other names
    shifted = {name: moment + shift.total_seconds() for name, shift in claims.items() if isinstance(shift, timedelta)}
    token = issuer.sign(**{**claims, **shifted})
    answer = use(trusting.test_client(), token)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated")


def test_algorithm_is_the_issuers_and_no_other(trusting: Flask, issuer: Issuer) -> None:
    """A token that is signed with the public key as a secret, and one that is not signed at all."""
    issued_at = int(time.time())
    claims = {"iss": issuer.url, "aud": "my-api", "sub": "ada", "exp": issued_at + 60}
    for forged in (
        jwt.encode(claims, "k" * 40, algorithm="HS256", headers={"kid": "first"}),
        jwt.encode(claims, None, algorithm="none", headers={"kid": "first"}),
        jwt.encode(claims, "k" * 40, algorithm="HS256"),
    ):
        assert use(trusting.test_client(), forged).status_code == 401


def test_keys_that_rotate_are_fetched_again(make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0.0)
    client = make_app(AUTH_JWKS=issuer.setting).test_client()
    assert use(client, issuer.sign()).status_code == 200
    issuer.publish("first", "second")
    assert use(client, issuer.sign(key_id="second")).status_code == 200
    assert use(client, issuer.sign(key_id="first")).status_code == 200


@pytest.mark.parametrize(("refresh_seconds", "told"), [(3600.0, (401, "unauthenticated")), (0.001, (503, "busy"))])
def test_outage_of_the_key_server_stops_no_known_key(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, refresh_seconds: float, told: tuple[int, str]
) -> None:
    monkeypatch.setattr(issuers, "REFRESH_SECONDS", refresh_seconds)
    client = make_app(AUTH_JWKS=issuer.setting).test_client()
    assert use(client, issuer.sign()).status_code == 200
    issuer.publish("first", "second")
    issuer.stop()
    assert use(client, issuer.sign("eve")).status_code == 200  # another token of the same key
    refused = use(client, issuer.sign(key_id="second"))
    assert (refused.status_code, refused.get_json()["code"]) == told


def test_outage_brings_no_withdrawn_key_back(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "REFRESH_SECONDS", 0.001)
    client = make_app(AUTH_JWKS=issuer.setting).test_client()
    assert use(client, issuer.sign()).status_code == 200
    issuer.publish("second")
    assert use(client, issuer.sign("eve")).status_code == 401
    issuer.stop()
    assert use(client, issuer.sign("bob")).status_code == 503


def test_unknown_keys_do_not_make_us_fetch_again_and_again(
    trusting: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = list[object]()
    fetch = issuers.PyJWKClient.fetch_data

    def counted(client: Any) -> Any:
        fetches.append(client)
        return fetch(client)

    monkeypatch.setattr(issuers.PyJWKClient, "fetch_data", counted)
    issuer.publish(*(f"key-{number}" for number in range(20)))
    issuer.publish("first")
    for number in range(20):
        assert use(trusting.test_client(), issuer.sign(key_id=f"key-{number}")).status_code == 401
    assert len(fetches) <= 2


def test_disabled_account_is_out(trusting: Flask, issuer: Issuer) -> None:
    client = trusting.test_client()
    me = use(client, issuer.sign()).get_json()
    with trusting.app_context():
        disable(me["email"])
    assert use(client, issuer.sign()).status_code == 401


def test_login_elsewhere_opens_no_account_and_makes_no_keys(trusting: Flask, issuer: Issuer) -> None:
    client = trusting.test_client()
    for method, path in (("PATCH", ME), ("GET", "/api/users/api-keys/"), ("GET", "/api/users/sessions/")):
        answer = use(client, issuer.sign(), path, method, {"username": "other"} if method == "PATCH" else None)
        assert answer.get_json()["code"] == "scope_missing"


def test_login_lives_on_after_a_year(trusting: Flask, issuer: Issuer) -> None:
    client = trusting.test_client()
    first = use(client, issuer.sign()).get_json()["id"]
    with time_machine.travel(now() + timedelta(days=400)):
        assert use(client, issuer.sign()).get_json()["id"] == first


def test_own_tokens_go_on(trusting: Flask) -> None:
    ada: Person = join(trusting.test_client(), "ada")
    assert ada.call("GET", ME).status_code == 200
    assert use(ada.client, "no.token.atall").status_code == 401
