"""Refresh by proof: a spent token works until its successor has been seen, and then ends its session."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from chatbot.services.accounts import rotation
from chatbot.services.accounts.state import get_accounts_state
from tests.api.test_auth import me, refresh
from tests.conftest import MakeApp, Person

pytestmark = pytest.mark.both_databases

AFTER_GRACE = rotation.GRACE_PERIOD + timedelta(seconds=1)


def pair_of(answer: Any) -> tuple[str, str]:
    body = answer.get_json()
    return body["access_token"], body["refresh_token"]


def use(ada: Person, pair: tuple[str, str]) -> None:
    assert me(ada.client, pair[0]).status_code == 200


def spend(ada: Person, pair: tuple[str, str]) -> None:
    assert refresh(ada.client, pair[1]).status_code == 200


def test_refresh_spends_the_token_for_a_new_pair(ada: Person) -> None:
    new = refresh(ada.client, ada.refresh_token).get_json()
    assert new["refresh_token"] != ada.refresh_token
    assert new["expires_in"] == 900
    assert me(ada.client, new["access_token"]).get_json()["username"] == "ada"
    assert refresh(ada.client, new["refresh_token"]).status_code == 200


def test_token_whose_successor_nobody_has_seen_gives_the_same_pair(ada: Person, clock: time_machine.Traveller) -> None:
    pairs = {pair_of(refresh(ada.client, ada.refresh_token))}
    for _ in range(3):
        clock.shift(timedelta(minutes=2))
        pairs.add(pair_of(refresh(ada.client, ada.refresh_token)))
    assert len(pairs) == 1


def test_token_repeated_after_days_gives_an_access_token_that_works(ada: Person, clock: time_machine.Traveller) -> None:
    lost = refresh(ada.client, ada.refresh_token).get_json()
    clock.shift(timedelta(days=3))
    again = refresh(ada.client, ada.refresh_token).get_json()
    assert (again["refresh_token"], again["expires_in"]) == (lost["refresh_token"], 900)
    assert me(ada.client, again["access_token"]).status_code == 200
    clock.shift(AFTER_GRACE)
    assert refresh(ada.client, ada.refresh_token).get_json()["code"] == "session_ended"  # it has been seen


@pytest.mark.parametrize("see", [use, spend])
def test_reuse_after_the_successor_was_seen_ends_the_session(
    ada: Person, clock: time_machine.Traveller, see: Callable[[Person, tuple[str, str]], None]
) -> None:
    new = pair_of(refresh(ada.client, ada.refresh_token))
    clock.shift(timedelta(minutes=5))
    see(ada, new)
    clock.shift(rotation.GRACE_PERIOD - timedelta(seconds=1))
    assert pair_of(refresh(ada.client, ada.refresh_token)) == new
    clock.shift(timedelta(seconds=2))
    answer = refresh(ada.client, ada.refresh_token)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "session_ended")
    for access_token in (ada.access_token, new[0]):
        assert me(ada.client, access_token).get_json()["code"] == "session_ended"
    assert refresh(ada.client, new[1]).get_json()["code"] == "session_ended"


def test_reuse_of_an_older_token_ends_the_session(ada: Person) -> None:
    second = pair_of(refresh(ada.client, ada.refresh_token))
    third = pair_of(refresh(ada.client, second[1]))
    assert refresh(ada.client, third[1]).status_code == 200
    assert refresh(ada.client, ada.refresh_token).get_json()["code"] == "session_ended"
    assert me(ada.client, third[0]).status_code == 401


def test_access_token_of_the_parent_proves_nothing(ada: Person, clock: time_machine.Traveller) -> None:
    lost = pair_of(refresh(ada.client, ada.refresh_token))
    use(ada, (ada.access_token, ""))
    clock.shift(AFTER_GRACE)
    assert pair_of(refresh(ada.client, ada.refresh_token)) == lost


def test_other_processes_are_told_of_what_was_seen(
    make_app: MakeApp, app: Flask, ada: Person, clock: time_machine.Traveller
) -> None:
    new = pair_of(refresh(ada.client, ada.refresh_token))
    use(ada, new)
    with app.app_context():
        get_accounts_state().uses.store_generations()
    clock.shift(AFTER_GRACE)
    other = make_app().test_client()
    assert refresh(other, ada.refresh_token).get_json()["code"] == "session_ended"


def test_guessed_refresh_token_ends_nobodys_session(ada: Person) -> None:
    guess = ada.refresh_token[:-4] + ("AAAA" if not ada.refresh_token.endswith("AAAA") else "BBBB")
    assert refresh(ada.client, guess).get_json()["code"] == "unauthenticated"
    assert ada.call("GET", "/api/users/me/").status_code == 200


@pytest.mark.parametrize("token", ["", "x", "cr_", "cr_" + "A" * 86, "cr_" + "é" * 86, 5, None])
def test_bad_refresh_token_is_refused(ada: Person, token: object) -> None:
    response = ada.client.post("/api/users/refresh/", json={"refresh_token": token})
    assert response.status_code in {400, 401}


def test_expired_session_is_not_refreshed(ada: Person, clock: time_machine.Traveller) -> None:
    clock.shift(timedelta(days=31))
    assert refresh(ada.client, ada.refresh_token).get_json()["code"] == "session_ended"
