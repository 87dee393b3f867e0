"""Changing a password."""

import threading
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.transactions import write
from chatbot.database.types import uuid7
from chatbot.errors import Busy
from chatbot.models import User
from chatbot.services.accounts import authentication, passwords
from chatbot.services.accounts.callers import Caller
from tests.api.test_auth import log_in, me, refresh
from tests.conftest import PASSWORD, MakeApp, Person, join
from tests.support.roles import disable

pytestmark = pytest.mark.both_databases

NEW = "another sound passphrase"


def change_password(who: Person, current: object = PASSWORD, new: object = NEW) -> TestResponse:
    return who.call("POST", "/api/users/me/password/", {"current_password": current, "new_password": new})


def test_change_of_the_password_ends_all_other_sessions(app: Flask, ada: Person) -> None:
    other = log_in(app.test_client()).get_json()
    assert me(ada.client, other["access_token"]).status_code == 200
    assert change_password(ada).status_code == 204
    assert ada.call("GET", "/api/users/me/").status_code == 200
    assert me(ada.client, other["access_token"]).status_code == 401
    assert refresh(ada.client, other["refresh_token"]).status_code == 401
    assert refresh(ada.client, ada.refresh_token).status_code == 200
    assert [log_in(ada.client).status_code, log_in(ada.client, password=NEW).status_code] == [401, 200]


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("not the passphrase", NEW, 401, "invalid_credentials"),
        (PASSWORD, "password1", 400, "validation_failed"),
        (PASSWORD, "ADA@example.org", 400, "validation_failed"),
        (PASSWORD, "short", 400, "validation_failed"),
        (PASSWORD, None, 400, "validation_failed"),
        (None, NEW, 400, "validation_failed"),
    ],
)
def test_change_of_the_password_that_is_refused_changes_nothing(
    app: Flask, ada: Person, current: object, new: object, status: int, code: str
) -> None:
    other = log_in(app.test_client()).get_json()
    answer = change_password(ada, current, new)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    if status == 400:
        assert set(answer.get_json()["errors"]) == {"current_password" if current is None else "new_password"}
    assert me(ada.client, other["access_token"]).status_code == 200
    assert log_in(ada.client).status_code == 200


def test_login_with_the_old_password_does_not_outlive_its_change(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of a login that began before the change, and ended after it, was not among those that it ends."""
    verify = passwords.verify_password

    def changed_meanwhile(password: str, stored: str | None) -> bool:
        matches = verify(password, stored)
        monkeypatch.setattr(passwords, "verify_password", verify)
        assert change_password(ada).status_code == 204
        return matches

    monkeypatch.setattr(passwords, "verify_password", changed_meanwhile)
    assert log_in(app.test_client()).status_code == 401


def test_guesses_of_the_current_password_are_limited(make_app: MakeApp) -> None:
    app = make_app(RATELIMIT_ENABLED="true", RATE_LOGIN_ACCOUNT="3 per minute")
    ada, eve = (join(app.test_client(), name) for name in ("ada", "eve"))
    answers = [change_password(ada, "not the passphrase").status_code for _ in range(4)]
    assert answers == [401, 401, 401, 429]
    assert change_password(eve).status_code == 204


def test_change_of_the_password_beside_a_login_that_keys_it_anew_is_made(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash had changed, and the right password was called wrong."""
    digest = passwords.hash_password

    def keyed_anew_meanwhile(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", digest)
        with write("test") as connection:
            connection.execute(sa.update(User).where(User.username == "ada").values(password_hash=digest(PASSWORD)))
        return digest(password)

    monkeypatch.setattr(passwords, "hash_password", keyed_anew_meanwhile)
    assert change_password(ada).status_code == 204
    assert log_in(app.test_client(), password=NEW).status_code == 200


def test_disabled_user_changes_no_password(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "authenticate", lambda _: Caller(UUID(ada.id), uuid7(), "user"))
    with app.app_context():
        disable("ada@example.org")
    assert change_password(ada).status_code == 401


def test_login_waits_for_no_second_turn_to_key_its_password_anew(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> bool:
        raise Busy("Too many logins at once.")

    monkeypatch.setattr(passwords, "is_outdated", busy)
    assert log_in(app.test_client()).status_code == 200


def test_any_thread_of_a_development_server_may_hash(app: Flask) -> None:
    """Werkzeug's server has a thread for each request, and gevent's pools are of the thread that made them."""
    found: list[int] = []

    def sign_up(name: str) -> None:
        account = {"email": f"{name}@example.org", "username": name, "password": PASSWORD, "password_confirm": PASSWORD}
        found.append(app.test_client().post("/api/users/signup/", json=account).status_code)

    for name in ("ada", "eve", "grace"):
        thread = threading.Thread(target=sign_up, args=[name])
        thread.start()
        thread.join()
    assert found == [201, 201, 201]
