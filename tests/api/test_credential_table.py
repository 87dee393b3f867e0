"""Every operation with each kind of credential in each of its states: a table without an unlisted cell."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from chatbot.database.types import now
from chatbot.services.accounts.external_identities import DOMAIN, LOGIN_SCOPES
from chatbot.services.knowledge import client_tokens
from tests.api.test_api_keys import ALL_SCOPES, KEYS, make, use
from tests.api.test_client_tokens import mint
from tests.api.test_scopes import SCOPES
from tests.conftest import MakeApp, Person, join
from tests.support.jwks_server import Issuer
from tests.support.roles import disable

NEVER = frozenset[str]()
EVERY_KEY = frozenset({*ALL_SCOPES, "any"})
LOGOUT = "/api/users/logout/"
STATES = ("valid", "expired", "ended", "disabled")
# What a valid credential of a kind opens; None: all that a login opens.
OPENED: dict[str, frozenset[str] | None] = {
    "none": NEVER,
    "garbage": NEVER,
    "access token": None,
    "refresh token": NEVER,
    "API key": EVERY_KEY,
    "client token": frozenset({*client_tokens.SCOPES, "any"}),
    "foreign token": frozenset({*LOGIN_SCOPES, "any"}),
}
IMPOSSIBLE = {
    **{(kind, state): "nothing that could change" for kind in ("none", "garbage") for state in STATES[1:]},
    ("foreign token", "ended"): "an issuer takes no token back; the account can be disabled",
}
CELLS = [(kind, state) for kind in OPENED for state in STATES if (kind, state) not in IMPOSSIBLE]


@pytest.fixture
def app(make_app: MakeApp, issuer: Issuer) -> Flask:
    return make_app(AUTH_JWKS=issuer.setting)


@dataclass
class Given:
    """A credential, the address of its account, and the call that ends it before its time."""

    credential: str
    account: str
    end: Callable[[], object]


def give(kind: str, app: Flask, issuer: Issuer) -> Given:
    """Make a credential of a kind."""
    ada = join(app.test_client(), "ada")
    account = "ada@example.org"
    log_out = partial(ada.call, "POST", LOGOUT)
    if kind == "access token":
        return Given(ada.access_token, account, log_out)
    if kind == "refresh token":
        return Given(ada.refresh_token, account, log_out)
    if kind == "API key":
        key = make(ada, *ALL_SCOPES)
        return Given(key["secret"], account, partial(ada.call, "DELETE", f"{KEYS}{key['id']}/"))
    if kind == "client token":
        minted = mint(ada).get_json()
        address = f"{UUID(minted['user_id']).hex}@{DOMAIN}"
        return Given(minted["token"], address, partial(disable, account))  # it ends with its customer's account
    if kind == "foreign token":
        credential = issuer.sign("someone")
        return Given(credential, use(ada, credential).get_json()["email"], pytest.fail)
    return Given("x.y.z" if kind == "garbage" else "", account, pytest.fail)


def test_no_cell_is_unlisted() -> None:
    assert {*CELLS, *IMPOSSIBLE} == {(kind, state) for kind in OPENED for state in STATES}


@pytest.mark.parametrize(("kind", "state"), CELLS, ids=str)
def test_credential_opens_what_its_kind_opens_and_nothing_once_it_is_over(
    app: Flask, issuer: Issuer, kind: str, state: str
) -> None:
    given = give(kind, app, issuer)
    with app.app_context():
        if state == "ended":
            given.end()
        if state == "disabled":
            disable(given.account)
    opened = OPENED[kind] if state == "valid" else NEVER
    moment = now() + (timedelta(days=400) if state == "expired" else timedelta(0))
    stranger = Person(app.test_client(), "", "", "", "")
    with time_machine.travel(moment, tick=True):
        for (method, path), scope in SCOPES.items():
            if path == LOGOUT:  # would end the session of the access token
                continue
            filled = re.sub(r"\{\w+\}", str(UUID(int=7)), path)
            body = {"unknown": 1} if method != "GET" else None
            answer = use(stranger, given.credential, method, filled, body)
            is_refused = answer.status_code >= 400  # what is not may be a stream without an end
            told = (answer.status_code, is_refused and "scope_missing" in answer.get_data(as_text=True))
            answer.close()
            if opened == NEVER:
                assert told == (401, False), (method, path)
            elif opened is None or scope in opened:
                assert told not in {(401, False), (403, True), (500, False)}, (method, path)
            else:
                assert told == (403, True), (method, path)
