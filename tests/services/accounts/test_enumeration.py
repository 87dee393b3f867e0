"""Times of answers, which must not tell whether an address has an account; `test_passwords.py` has those of logins."""

from collections.abc import Callable

import pytest
from flask import Flask

from chatbot.errors import CodeWrong
from chatbot.services.accounts import accounts
from chatbot.services.accounts.mails import mail_tokens, outbox, password_reset
from tests.conftest import MakeApp
from tests.support.timing import find_furthest_pair

TRIES = 75
ADDRESSES = {"known": "ada@example.org", "asked": "eve@example.org", "unknown": "nobody@example.org"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application with two accounts, one with a mail about its password."""
    app = make_app(MAIL_URL="memory:")
    with app.app_context():
        for name in ("ada", "eve"):
            accounts.sign_up(f"{name}@example.org", name, "a sound passphrase")
    return app


def guess(address: str) -> Callable[[], None]:
    def act() -> None:
        with pytest.raises(CodeWrong):
            password_reset.confirm_by_code(address, "000000", "another sound passphrase")

    return act


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_requests_for_mails_take_the_same_time(app: Flask) -> None:
    """By chance .3 % of honest pairs break the bound; a leak breaks it twice in a row."""
    cases = {name: lambda address=address: password_reset.request(address) for name, address in ADDRESSES.items()}
    with app.app_context():
        assert not find_furthest_pair(cases, TRIES) or not find_furthest_pair(cases, TRIES)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_guesses_of_codes_take_the_same_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_tokens, "MIN_INTERVAL", mail_tokens.CODE_LIFETIME * 0)
    cases = {name: guess(address) for name, address in ADDRESSES.items()}
    with app.app_context():
        password_reset.request(ADDRESSES["asked"])
        outbox.send_waiting()
        assert not find_furthest_pair(cases, TRIES) or not find_furthest_pair(cases, TRIES)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_measure_would_find_a_leak(app: Flask) -> None:
    """Without the count of guesses, an address without an account is told at once."""
    cases = {"counted": guess(ADDRESSES["known"]), "not counted": lambda: None}
    with app.app_context():
        assert find_furthest_pair(cases, 20) is not None
