"""Access tokens that are not ours, not whole, not for this, or not valid any more: 401 each."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask

from tests.conftest import MakeApp, Person, join
from tests.support.databases import SECRETS

Claims = dict[str, Any]


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


FORGED: dict[str, Callable[[Claims, str], str]] = {
    "alg none": lambda c, k: f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(c)}.",
    "HS384": lambda c, k: jwt.encode(c, k, "HS384"),
    "HS512": lambda c, k: jwt.encode(c, k, "HS512"),
    "other secret": lambda c, k: jwt.encode(c, "x" * 64, "HS256"),
    "empty secret": lambda c, k: f"{b64({'alg': 'HS256', 'typ': 'JWT'})}.{b64(c)}.AAAA",
    "RS256 named": lambda c, k: ".".join([b64({"alg": "RS256", "typ": "JWT"}), *jwt.encode(c, k, "HS256").split(".")[1:]]),
    "kid path": lambda c, k: jwt.encode(c, k, "HS256", headers={"kid": "../../dev/null"}),
    "jku": lambda c, k: jwt.encode(c, k, "HS256", headers={"jku": "http://127.0.0.1/keys"}),
    "jwk": lambda c, k: jwt.encode(c, k, "HS256", headers={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "crit": lambda c, k: jwt.encode(c, k, "HS256", headers={"crit": ["x"]}),
    **{
        f"without {name}": lambda c, k, name=name: jwt.encode({n: v for n, v in c.items() if n != name}, k, "HS256")
        for name in ("sub", "sid", "jti", "type", "iss", "aud", "iat", "nbf", "exp")
    },
    **{
        f"{name} is {value!r}": lambda c, k, name=name, value=value: jwt.encode({**c, name: value}, k, "HS256")
        for name, value in [
            ("iss", "somebody"), ("aud", "somebody"), ("aud", ["chatbot-api"]), ("type", "refresh"), ("sub", str(UUID(int=1))),
            ("sub", "1"), ("sid", str(UUID(int=1))), ("sid", "x"), ("exp", 1), ("exp", 10**18), ("exp", 2.5e9),
            ("nbf", 4_000_000_000), ("iat", 4_000_000_000), ("jti", None),
        ]
    },
    "signature cut": lambda c, k: jwt.encode(c, k, "HS256")[:-2],
    "two parts": lambda c, k: "a.b",
    "no JSON": lambda c, k: "YQ.YQ.YQ",
    "not ASCII": lambda c, k: "é.é.é",
    "nested header": lambda c, k: base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".e30.AA",
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_forged_token_is_401(shared_app: Flask, shared_ada: Person, case: str) -> None:
    key = shared_app.config["JWT_SECRET_KEY"]
    claims = jwt.decode(shared_ada.access_token, options={"verify_signature": False})
    assert ask(shared_ada, jwt.encode(claims, key, "HS256")) == 200  # the same way of making one, with nothing wrong
    assert ask(shared_ada, FORGED[case](claims, key)) == 401


def test_token_of_another_key_is_401_in_the_process_that_accepted_it(make_app: MakeApp) -> None:
    ada = join(make_app().test_client(), "ada")
    other = make_app(JWT_SECRET_KEY="another-" + SECRETS["JWT_SECRET_KEY"])
    assert ask(ada, ada.access_token) == 200
    assert ask(replace(ada, client=other.test_client()), ada.access_token) == 401


def ask(person: Person, token: str) -> int:
    header = f"Bearer {token}".encode().decode("latin-1")
    return person.client.get("/api/users/me/", headers={"Authorization": header}).status_code


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token {0}", "{0}", "Bearer {0} x", "Bearer x {0}", "Bearer,{0}"],
)
def test_other_credentials_are_401(ada: Person, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(ada.access_token)}
    response = ada.client.get("/api/users/me/", headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.get_json()["code"] == "unauthenticated"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_in_any_case(ada: Person, scheme: str) -> None:
    response = ada.client.get("/api/users/me/", headers={"Authorization": f"{scheme} {ada.access_token}"})
    assert response.status_code == 200


def test_refresh_token_is_no_access_token_and_the_other_way_round(ada: Person) -> None:
    assert ask(ada, ada.refresh_token) == 401
    response = ada.client.post("/api/users/refresh/", json={"refresh_token": ada.access_token})
    assert response.status_code in {400, 401}


def test_token_lives_15_minutes(ada: Person) -> None:
    claims = jwt.decode(ada.access_token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 900
    assert abs(claims["iat"] - time.time()) < 60
