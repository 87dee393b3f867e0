"""Forgotten passwords and e-mail addresses, by mails."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from chatbot.database.transactions import read
from chatbot.mail.ports import Letter, MailUnavailable
from chatbot.models import Mail
from chatbot.services.accounts.mails import mail_tokens, outbox
from chatbot.services.accounts.state import get_accounts_state
from tests.api.test_auth import log_in, me, refresh
from tests.conftest import PASSWORD, MakeApp, Person, join

pytestmark = pytest.mark.both_databases

NEW = "another sound passphrase"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application with mails in memory."""
    return make_app(MAIL_URL="memory:", ACCOUNT_URL="https://app.example/account?lang=en")


@pytest.fixture
def deliver(app: Flask) -> Callable[[], list[Letter]]:
    """Return a function to send the waiting mails and return them."""

    def send() -> list[Letter]:
        with app.app_context():
            outbox.send_waiting()
            mailer: Any = get_accounts_state().mailer
        sent = list(mailer.letters)
        mailer.letters.clear()
        return sent

    return send


Deliver = Callable[[], list[Letter]]


def token_of(letter: Letter) -> str:
    (token,) = set(
        re.findall(
            r"https://app\.example/account\?lang=en#(?:reset|verify)=(\S+?)(?=[\s\"])", letter.text + letter.html
        )
    )
    return str(token)


def code_of(letter: Letter) -> str:
    (code,) = set(re.findall(r"\b(\d{6})\b", letter.text))
    assert code in letter.html
    return str(code)


def ask(client: FlaskClient, route: str, **body: str) -> tuple[int, str | None]:
    answer = client.post(f"/api/users/{route}/", json=body)
    return answer.status_code, (answer.get_json(silent=True) or {}).get("code")


@pytest.fixture
def verification(ada: Person, deliver: Deliver, clock: time_machine.Traveller) -> Letter:
    """Return the mail of Ada's sign-up, a minute after it."""
    (letter,) = deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    return letter


@pytest.fixture
def reset(ada: Person, verification: Letter, deliver: Deliver) -> Letter:
    """Return a mail for Ada about her forgotten password."""
    assert ask(ada.client, "password-reset", email=" ADA@example.org ") == (202, None)
    (letter,) = deliver()
    assert (letter.recipient, letter.subject) == ("ada@example.org", "Reset your password")
    return letter


def test_forgotten_password_is_reset_by_the_link(ada: Person, reset: Letter, deliver: Deliver) -> None:
    assert ask(ada.client, "password-reset/confirm", token=token_of(reset), new_password=NEW) == (204, None)
    assert log_in(ada.client, password=PASSWORD).status_code == 401
    assert log_in(ada.client, password=NEW).get_json()["user"]["email_verified"] is True
    assert me(ada.client, ada.access_token).get_json()["code"] == "session_ended"
    assert refresh(ada.client, ada.refresh_token).get_json()["code"] == "session_ended"
    assert [(one.recipient, one.subject) for one in deliver()] == [("ada@example.org", "Your password was changed")]
    assert ask(ada.client, "password-reset/confirm", token=token_of(reset), new_password=NEW) == (400, "token_spent")


def test_forgotten_password_is_reset_by_the_code(ada: Person, reset: Letter) -> None:
    said = {"email": "Ada@Example.org", "code": code_of(reset), "new_password": NEW}
    assert ask(ada.client, "password-reset/confirm", **said) == (204, None)
    assert ask(ada.client, "password-reset/confirm", **said) == (400, "code_wrong")
    assert log_in(ada.client, password=NEW).status_code == 200


def test_code_dies_with_the_fifth_wrong_guess_and_the_link_does_not(ada: Person, reset: Letter) -> None:
    wrong = f"{(int(code_of(reset)) + 1) % 1_000_000:06}"
    said = {"email": "ada@example.org", "new_password": NEW}
    for _ in range(mail_tokens.MAX_GUESSES):
        assert ask(ada.client, "password-reset/confirm", code=wrong, **said) == (400, "code_wrong")
    assert ask(ada.client, "password-reset/confirm", code=code_of(reset), **said) == (400, "code_wrong")
    assert ask(ada.client, "password-reset/confirm", token=token_of(reset), new_password=NEW) == (204, None)


def test_another_mail_has_another_code(
    ada: Person, reset: Letter, deliver: Deliver, clock: time_machine.Traveller
) -> None:
    said = {"email": "ada@example.org", "new_password": NEW}
    wrong = f"{(int(code_of(reset)) + 1) % 1_000_000:06}"
    for _ in range(mail_tokens.MAX_GUESSES + 1):
        ask(ada.client, "password-reset/confirm", code=wrong, **said)
    clock.shift(mail_tokens.MIN_INTERVAL)
    ask(ada.client, "password-reset", email="ada@example.org")
    (second,) = deliver()
    assert ask(ada.client, "password-reset/confirm", code=code_of(second), **said) == (204, None)


@pytest.mark.parametrize(
    ("part", "age"), [("token", mail_tokens.LIFETIMES["reset"]), ("code", mail_tokens.CODE_LIFETIME)]
)
def test_mail_tokens_expire(
    ada: Person, reset: Letter, clock: time_machine.Traveller, part: str, age: timedelta
) -> None:
    said = {"token": {"token": token_of(reset)}, "code": {"code": code_of(reset), "email": "ada@example.org"}}[part]
    clock.shift(age + timedelta(seconds=1))
    code = {"token": "token_spent", "code": "code_wrong"}[part]
    assert ask(ada.client, "password-reset/confirm", new_password=NEW, **said) == (400, code)


@pytest.mark.parametrize("token", ["x", "cp_", "cp_" + "A" * 64, "cp_" + "é" * 64])
def test_forged_token_is_spent(client: FlaskClient, token: str) -> None:
    assert ask(client, "password-reset/confirm", token=token, new_password=NEW) == (400, "token_spent")


def test_token_of_a_login_or_of_another_kind_resets_nothing(ada: Person, deliver: Deliver) -> None:
    (letter,) = deliver()
    assert letter.subject == "Confirm your e-mail address"
    for token in (token_of(letter), ada.refresh_token, ada.access_token[:200]):
        assert ask(ada.client, "password-reset/confirm", token=token, new_password=NEW) == (400, "token_spent")
    assert log_in(ada.client).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"new_password": NEW},
        {"token": "x", "code": "123456", "email": "a@b.org", "new_password": NEW},
        {"code": "123456", "new_password": NEW},
        {"token": "x", "email": "a@b.org", "new_password": NEW},
        {"token": "x", "new_password": "short"},
        {"code": "12345", "email": "a@b.org", "new_password": NEW},
        {"code": "１２３４５６", "email": "a@b.org", "new_password": NEW},
    ],
)
def test_bad_confirmation_is_400(client: FlaskClient, body: dict[str, str]) -> None:
    assert ask(client, "password-reset/confirm", **body) == (400, "validation_failed")


def test_common_password_is_refused_and_spends_nothing(ada: Person, reset: Letter) -> None:
    said = {"token": token_of(reset), "new_password": "password123"}
    assert ask(ada.client, "password-reset/confirm", **said) == (400, "validation_failed")
    assert ask(ada.client, "password-reset/confirm", **{**said, "new_password": NEW}) == (204, None)


def test_nobody_gets_a_mail_for_an_address_without_an_account(
    client: FlaskClient, app: Flask, deliver: Deliver
) -> None:
    assert ask(client, "password-reset", email="nobody@example.org") == (202, None)
    assert deliver() == []
    with app.app_context(), read() as connection:
        assert connection.scalar(Mail.__table__.select()) is None


def test_mail_goes_to_no_similar_address(client: FlaskClient, deliver: Deliver, clock: time_machine.Traveller) -> None:
    """A full-width letter folds to the same name, and its mailbox may be another's."""
    join(client, "mike")
    deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    assert ask(client, "password-reset", email="\uff4dike@example.org") == (202, None)
    assert [letter.recipient for letter in deliver()] == ["mike@example.org"]


def test_account_gets_five_mails_an_hour(ada: Person, deliver: Deliver, clock: time_machine.Traveller) -> None:
    sent = len(deliver())
    for _ in range(20):
        ask(ada.client, "password-reset", email="ada@example.org")
        sent += len(deliver())
        clock.shift(timedelta(seconds=20))
    assert sent == mail_tokens.PER_HOUR
    clock.shift(timedelta(hours=1))
    ask(ada.client, "password-reset", email="ada@example.org")
    assert len(deliver()) == 1


def test_mails_outlive_an_hour_without_a_server(
    ada: Person, app: Flask, deliver: Deliver, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver()
    ask(ada.client, "password-reset", email="ada@example.org")
    with app.app_context():
        mailer: Any = get_accounts_state().mailer
    tries = []

    def refuse(letter: Letter) -> None:
        tries.append(letter)
        raise MailUnavailable("connection refused")

    with monkeypatch.context() as down:
        down.setattr(mailer, "send", refuse)
        for _ in range(360):
            clock.shift(timedelta(seconds=10))
            deliver()
    assert 4 < len(tries) < 20
    clock.shift(outbox.MAX_BACKOFF)
    (letter,) = deliver()
    assert deliver() == []
    assert {one.id for one in tries} == {letter.id}
    assert ask(ada.client, "password-reset/confirm", token=token_of(letter), new_password=NEW) == (204, None)


def test_address_of_a_new_account_is_verified(ada: Person, deliver: Deliver) -> None:
    (letter,) = deliver()
    assert me(ada.client, ada.access_token).get_json()["email_verified"] is False
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (204, None)
    assert me(ada.client, ada.access_token).get_json()["email_verified"] is True
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (400, "token_spent")
    assert ada.call("POST", "/api/users/verify-email/resend/").status_code == 202
    assert deliver() == []  # there is nothing left to verify


def test_code_verifies_the_address_of_its_caller_alone(ada: Person, eve: Person, deliver: Deliver) -> None:
    mails = {letter.recipient: letter for letter in deliver()}
    code = code_of(mails["ada@example.org"])
    assert ask(ada.client, "verify-email", code=code) == (401, "unauthenticated")
    if code != code_of(mails["eve@example.org"]):
        assert eve.call("POST", "/api/users/verify-email/", {"code": code}).get_json()["code"] == "code_wrong"
    assert ada.call("POST", "/api/users/verify-email/", {"code": code}).status_code == 204
    assert me(ada.client, ada.access_token).get_json()["email_verified"] is True


def test_address_changes_once_verified(ada: Person, deliver: Deliver, clock: time_machine.Traveller) -> None:
    deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    said = {"email": "ada@example.net", "password": PASSWORD}
    assert ada.call("POST", "/api/users/me/email/", {**said, "password": "wrong one"}).status_code == 401
    assert ada.call("POST", "/api/users/me/email/", said).status_code == 202
    (letter,) = deliver()
    assert letter.recipient == "ada@example.net"
    assert me(ada.client, ada.access_token).get_json()["email"] == "ada@example.org"
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (204, None)
    user = me(ada.client, ada.access_token).get_json()
    assert (user["email"], user["email_verified"]) == ("ada@example.net", True)
    assert [one.recipient for one in deliver()] == ["ada@example.org"]  # the old one is told
    assert log_in(ada.client, email="ada@example.net").status_code == 200
    assert log_in(ada.client).status_code == 401


def test_taken_address_stays_its_owners(
    ada: Person, eve: Person, deliver: Deliver, clock: time_machine.Traveller
) -> None:
    deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    said = {"email": "EVE@example.org", "password": PASSWORD}
    assert ada.call("POST", "/api/users/me/email/", said).status_code == 202
    (letter,) = deliver()
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (409, "email_taken")
    assert me(ada.client, ada.access_token).get_json()["email"] == "ada@example.org"
    assert me(eve.client, eve.access_token).get_json()["email"] == "eve@example.org"


def test_users_are_told_of_changes(ada: Person, deliver: Deliver, clock: time_machine.Traveller) -> None:
    deliver()
    said = {"current_password": PASSWORD, "new_password": NEW}
    assert ada.call("POST", "/api/users/me/password/", said).status_code == 204
    pair = refresh(ada.client, ada.refresh_token).get_json()
    me(ada.client, pair["access_token"])
    clock.shift(timedelta(minutes=1))
    assert refresh(ada.client, ada.refresh_token).status_code == 401
    assert [one.subject for one in deliver()] == ["Your password was changed", "One of your logins was ended"]


def test_without_a_mail_server_nothing_is_promised(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        get_accounts_state().mailer = None
    ada = join(client, "ada")
    assert ask(client, "password-reset", email="ada@example.org") == (503, "mail_off")
    assert ada.call("POST", "/api/users/verify-email/resend/").get_json()["code"] == "mail_off"
    with app.app_context(), read() as connection:
        assert connection.scalar(Mail.__table__.select()) is None
