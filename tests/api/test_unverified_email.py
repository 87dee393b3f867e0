"""`REQUIRE_VERIFIED_EMAIL`: an account opens nothing but itself before its e-mail address is verified."""

from collections.abc import Callable

import pytest
from flask import Flask

from chatbot.mail.ports import Letter
from tests.api.test_api_keys import make, use
from tests.api.test_mail_tokens import ask, code_of, deliver
from tests.conftest import MakeApp, Person

__all__ = ["deliver"]
pytestmark = pytest.mark.both_databases

CLOSED = (
    ("POST", "/api/chat/", {"message": "Hi"}),
    ("GET", "/api/chat-history/", None),
    ("GET", "/v1/models", None),
    ("GET", "/api/rooms/", None),
    ("GET", "/api/analytics/usage/", None),
)
OPEN = ("/api/users/me/", "/api/users/sessions/", "/api/users/me/budgets/", "/api/users/me/export/")


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(MAIL_URL="memory:", REQUIRE_VERIFIED_EMAIL="true")


def call_closed(person: Person) -> set[tuple[int, str | None]]:
    """Return the statuses and codes of routes that need a verified address."""
    answers = [person.call(method, path, body) for method, path, body in CLOSED]
    found = [(answer.status_code, answer.get_json()) for answer in answers]
    return {(status, body.get("code") or (body.get("error") or {}).get("code")) for status, body in found}


def test_nothing_but_the_account_is_open_before_its_address_is_verified(
    ada: Person, deliver: Callable[[], list[Letter]]
) -> None:
    (letter,) = deliver()
    assert call_closed(ada) == {(403, "email_unverified")}
    assert {ada.call("GET", path).status_code for path in OPEN} == {200}
    key = make(ada, "chat")["secret"]
    by_key = use(ada, key, "POST", "/api/chat/", {"message": "Hi"})
    assert (by_key.status_code, by_key.get_json()["code"]) == (403, "email_unverified")
    assert ask(ada.client, "verify-email", token="cp_" + "a" * 40) == (400, "token_spent")
    assert ada.call("POST", "/api/users/verify-email/", {"code": code_of(letter)}).status_code == 204
    assert call_closed(ada) == {(200, None)}  # at once
    assert use(ada, key, "POST", "/api/chat/", {"message": "Hi"}).status_code == 200


def test_operator_verifies_an_address(app: Flask, ada: Person) -> None:
    assert call_closed(ada) == {(403, "email_unverified")}
    found = app.test_cli_runner().invoke(args=["users", "verify", "ADA@example.org"])
    assert (found.exit_code, found.output) == (0, "ada@example.org is verified.\n")
    assert call_closed(ada) == {(200, None)}


def test_users_of_a_customer_need_no_address(ada: Person, deliver: Callable[[], list[Letter]]) -> None:
    (letter,) = deliver()
    ada.call("POST", "/api/users/verify-email/", {"code": code_of(letter)})
    key = make(ada, "mint")["secret"]
    minted = use(ada, key, "POST", "/api/users/client-tokens/", {"subject": "eve"}).get_json()
    assert use(ada, minted["token"], "POST", "/api/chat/", {"message": "Hi"}).status_code == 200
