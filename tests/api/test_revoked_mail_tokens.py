"""Tokens of mails that hold no longer: another change has come since."""

from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask

from chatbot.services.accounts.mails import mail_tokens, outbox
from chatbot.services.accounts.state import get_accounts_state
from tests.api.test_mail_tokens import NEW, Deliver, ask, deliver, token_of, verification
from tests.conftest import PASSWORD, MakeApp, Person
from tests.support.roles import disable

__all__ = ["deliver", "verification"]  # fixtures

pytestmark = [pytest.mark.both_databases, pytest.mark.usefixtures("verification")]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application with mails in memory."""
    return make_app(MAIL_URL="memory:", ACCOUNT_URL="https://app.example/account?lang=en")


def ask_for_change(ada: Person) -> None:
    said = {"email": "thief@example.org", "password": PASSWORD}
    assert ada.call("POST", "/api/users/me/email/", said).status_code == 202


def change_password(ada: Person) -> None:
    said = {"current_password": PASSWORD, "new_password": NEW}
    assert ada.call("POST", "/api/users/me/password/", said).status_code == 204


def read_email(ada: Person) -> str:
    email: str = ada.call("GET", "/api/users/me/").get_json()["email"]
    return email


def test_change_of_the_password_revokes_a_change_of_the_address(ada: Person, deliver: Deliver) -> None:
    """A thief with the old password would take the account over a day later."""
    ask_for_change(ada)
    (letter,) = deliver()
    change_password(ada)
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (400, "token_spent")
    assert read_email(ada) == "ada@example.org"


def test_change_of_the_password_revokes_a_mail_that_waits(ada: Person, deliver: Deliver) -> None:
    ask_for_change(ada)
    change_password(ada)
    assert [letter.recipient for letter in deliver()] == ["ada@example.org"]  # which tells of the change


def test_change_of_the_address_revokes_a_reset_that_the_old_mailbox_has(
    ada: Person, deliver: Deliver, clock: time_machine.Traveller
) -> None:
    ask(ada.client, "password-reset", email="ada@example.org")
    (reset,) = deliver()
    clock.shift(mail_tokens.MIN_INTERVAL)
    said = {"email": "ada@example.net", "password": PASSWORD}
    ada.call("POST", "/api/users/me/email/", said)
    (change,) = deliver()
    assert ask(ada.client, "verify-email", token=token_of(change)) == (204, None)
    assert ask(ada.client, "password-reset/confirm", token=token_of(reset), new_password=NEW) == (400, "token_spent")


def test_disabled_account_takes_no_token(ada: Person, app: Flask, deliver: Deliver) -> None:
    ask_for_change(ada)
    (letter,) = deliver()
    with app.app_context():
        disable("ada@example.org")
    assert ask(ada.client, "verify-email", token=token_of(letter)) == (400, "token_spent")


def test_faulty_template_holds_up_its_own_mails_alone(
    make_app: MakeApp, ada: Person, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    (tmp_path / "reset.txt").write_text("{{ lnk }}")
    app = make_app(MAIL_URL="memory:", MAIL_TEMPLATES=str(tmp_path))
    client = app.test_client()
    ask(client, "password-reset", email="ada@example.org")
    change_password(ada)
    with app.app_context():
        outbox.send_waiting()
        outbox.send_waiting()
        mailer: Any = get_accounts_state().mailer
    assert [letter.subject for letter in mailer.letters] == ["Your password was changed"]
    (tmp_path / "reset.txt").write_text("Your link\n\n{{ link }}")
    clock.shift(outbox.MAX_BACKOFF)
    with app.app_context():
        outbox.send_waiting()
    assert [letter.subject for letter in mailer.letters] == ["Your password was changed", "Your link"]
