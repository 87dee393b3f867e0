"""Routes for accounts and sessions."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chatbot.services.accounts import accounts
from chatbot.services.accounts.callers import OPERATOR
from chatbot.services.administration import users
from tests.conftest import PASSWORD, Person, join

pytestmark = pytest.mark.both_databases

ACCOUNT = {"email": "Ada@Example.org", "username": "Ada", "password": PASSWORD, "password_confirm": PASSWORD}


def sign_up(client: FlaskClient, **changes: object) -> TestResponse:
    account = {name: value for name, value in {**ACCOUNT, **changes}.items() if value is not ...}
    return client.post("/api/users/signup/", json=account)


def log_in(client: FlaskClient, email: str = "ada@example.org", password: str = PASSWORD) -> TestResponse:
    return client.post("/api/users/login/", json={"email": email, "password": password})


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/api/users/refresh/", json={"refresh_token": token})


def me(client: FlaskClient, token: str) -> TestResponse:
    return client.get("/api/users/me/", headers={"Authorization": f"Bearer {token}"})


def test_signup_returns_the_account_without_its_password(client: FlaskClient) -> None:
    response = sign_up(client)
    user = response.get_json()
    assert response.status_code == 201
    assert set(user) == {"id", "email", "username", "role", "email_verified", "created_at"}
    assert (user["email"], user["username"], user["role"]) == ("Ada@Example.org", "Ada", "user")
    assert user["email_verified"] is False
    assert user["created_at"].endswith("Z")
    assert user["id"][14] == "7"


@pytest.mark.parametrize("path", ["/api/users/signup", "/api/users/signup/"])
def test_signup_answers_with_and_without_slash(client: FlaskClient, path: str) -> None:
    assert client.post(path, json=ACCOUNT).status_code == 201


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"email": "ADA@example.ORG", "username": "other"}, "email_taken"),
        ({"email": "b@example.org", "username": "aDA"}, "username_taken"),
        ({"email": "b@example.org", "username": "ＡＤＡ"}, "username_taken"),
    ],
)
def test_names_are_unique_without_regard_to_case(client: FlaskClient, changes: dict[str, str], code: str) -> None:
    sign_up(client)
    response = sign_up(client, **changes)
    assert (response.status_code, response.get_json()["code"]) == (409, code)


def test_signup_that_loses_the_race_is_409(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_up(client)
    looked: list[str] = []
    check = accounts.refuse_taken

    def late(session: object, email: str, username: str) -> None:
        looked.append(email)
        if len(looked) > 1:  # the first look came before the other's commit
            check(session, email, username)

    monkeypatch.setattr(accounts, "refuse_taken", late)
    assert sign_up(client).get_json()["code"] == "email_taken"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ...), ("email", None), ("email", 5), ("email", "nobody"), ("email", "a@b@c"), ("email", "a" * 250 + "@x.org"),
        ("username", "ada\n"), ("username", "\ufdfa" * 32), ("email", "\ufdfa" * 200 + "@example.org"),
        ("username", ...), ("username", "ab"), ("username", "a" * 33), ("username", "a b"), ("username", "<ada>"),
        ("username", ".hidden"), ("username", ["ada"]),
        ("password", ...), ("password", "short"), ("password", "x" * 1025), ("password", 12345678),
        ("password", "password123"), ("password", "Password123"), ("password", "Ada@Example.org"),
        ("password_confirm", ...), ("password_confirm", "something else"),
        ("role", "admin"), ("id", "01a203c3-d9bf-71e2-9e00-a27895a42541"), ("is_admin", True), ("created_at", "2020-01-01"),
        ("user_id", 1), ("email_verified", True), ("model_base_url", "http://x"), ("api_base", "http://x"),
    ],
)  # fmt: skip
def test_bad_signup_is_400_and_names_the_field(client: FlaskClient, field: str, value: object) -> None:
    changes = {field: value}
    if field == "password":
        changes["password_confirm"] = value
    response = sign_up(client, **changes)
    assert response.status_code == 400
    assert response.get_json()["code"] == "validation_failed"
    assert field in response.get_json()["errors"]
    assert log_in(client).status_code == 401


def test_password_of_1024_characters_logs_in_and_its_beginning_does_not(client: FlaskClient) -> None:
    long = "pä$$ wörd " * 102 + "1234"
    assert len(long) == 1024
    assert sign_up(client, password=long, password_confirm=long).status_code == 201
    assert log_in(client, password=long).status_code == 200
    assert log_in(client, password=long[:72]).status_code == 401


def test_blanks_around_an_email_address_are_nothing(client: FlaskClient) -> None:
    account = {"email": " ada@example.org\n", "username": "ada", "password": "a sound passphrase"}
    signed_up = client.post("/api/users/signup/", json={**account, "password_confirm": account["password"]})
    assert (signed_up.status_code, signed_up.get_json()["email"]) == (201, "ada@example.org")
    for email in ("ada@example.org ", "\u00a0ada@example.org"):
        said = {"email": email, "password": account["password"]}
        assert client.post("/api/users/login/", json=said).status_code == 200


def test_login_gives_a_pair_of_tokens(client: FlaskClient) -> None:
    sign_up(client)
    response = log_in(client, "ADA@EXAMPLE.ORG")
    tokens = response.get_json()
    assert response.status_code == 200
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert tokens["user"]["username"] == "Ada"
    assert response.headers["Cache-Control"] == "no-store"
    assert me(client, tokens["access_token"]).get_json() == tokens["user"]


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.org", "wrong one"), ("nobody@example.org", PASSWORD), ("x", "y")]
)
def test_wrong_login_is_one_answer(client: FlaskClient, email: str, password: str) -> None:
    sign_up(client)
    response = log_in(client, email, password)
    body = response.get_json()
    assert (response.status_code, body["code"]) == (401, "invalid_credentials")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert {k: v for k, v in body.items() if k != "request_id"} == {
        "type": "/api/docs/#invalid_credentials", "title": "The e-mail address or the password is wrong.", "status": 401,
        "detail": "The e-mail address or the password is wrong.", "instance": "/api/users/login/",
        "code": "invalid_credentials", "retryable": False,
    }  # fmt: skip


def test_disabled_user_is_out_and_cannot_log_in(app: Flask, ada: Person) -> None:
    with app.app_context():
        users.change_user(OPERATOR, users.find_user_id("ADA@example.org"), disabled=True)
    assert ada.call("GET", "/api/users/me/").status_code == 401
    assert refresh(ada.client, ada.refresh_token).status_code == 401
    assert log_in(ada.client).get_json()["code"] == "invalid_credentials"


def test_logout_kills_the_sessions_tokens_at_once_and_no_others(app: Flask, ada: Person) -> None:
    other = log_in(ada.client).get_json()
    assert ada.call("POST", "/api/users/logout/").status_code == 204
    assert ada.call("GET", "/api/users/me/").status_code == 401
    assert refresh(ada.client, ada.refresh_token).status_code == 401
    assert me(ada.client, other["access_token"]).status_code == 200


def test_username_changes(ada: Person) -> None:
    response = ada.call("PATCH", "/api/users/me/", {"username": "Ada.Lovelace"})
    assert (response.status_code, response.get_json()["username"]) == (200, "Ada.Lovelace")
    assert ada.call("GET", "/api/users/me/").get_json()["username"] == "Ada.Lovelace"


def test_own_username_in_another_case_is_free(ada: Person) -> None:
    assert ada.call("PATCH", "/api/users/me/", {"username": "ADA"}).status_code == 200


def test_username_of_somebody_else_is_409(ada: Person, eve: Person) -> None:
    assert eve.call("PATCH", "/api/users/me/", {"username": "ADA"}).get_json()["code"] == "username_taken"


@pytest.mark.parametrize("field", ["role", "id", "user_id", "email", "email_verified", "created_at", "password_hash"])
def test_profile_takes_no_other_field(ada: Person, field: str) -> None:
    before = ada.call("GET", "/api/users/me/").get_json()
    response = ada.call("PATCH", "/api/users/me/", {"username": "mallory", field: "admin"})
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [field])
    assert ada.call("GET", "/api/users/me/").get_json() == before


def test_two_people_do_not_share_a_session(app: Flask) -> None:
    a = join(app.test_client(), "anna")
    b = join(app.test_client(), "bert")
    assert me(app.test_client(), a.access_token).get_json()["id"] == a.id != b.id
