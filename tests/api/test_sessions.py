"""Sessions on devices: a user sees them all, and ends those of devices that they do not know."""

from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from chatbot.services.accounts.devices import MAX_USER_AGENT_LENGTH
from chatbot.services.accounts.state import get_accounts_state
from tests.api.test_auth import me, refresh
from tests.conftest import PASSWORD, Person

pytestmark = pytest.mark.both_databases

SESSIONS = "/api/users/sessions/"
FIREFOX = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)


def log_in(client: FlaskClient, user_agent: str, address: str = "192.0.2.77") -> Any:
    said = {"email": "ada@example.org", "password": PASSWORD}
    options = {"headers": {"User-Agent": user_agent}, "environ_base": {"REMOTE_ADDR": address}}
    return client.post("/api/users/login/", json=said, **options).get_json()


def test_sessions_show_devices_and_networks(app: Flask, ada: Person) -> None:
    log_in(app.test_client(), FIREFOX)
    log_in(app.test_client(), SAFARI, "2001:db8:77:1::5")
    newest, middle, own = ada.call("GET", SESSIONS).get_json()["items"]
    assert set(own) == {"id", "device", "address", "created_at", "last_used_at", "current"}
    assert (newest["device"], newest["address"]) == ("Mobile Safari on iOS", "2001:db8:77::/48")
    assert (middle["device"], middle["address"]) == ("Firefox on Ubuntu", "192.0.2.0/24")
    assert [one["current"] for one in (newest, middle, own)] == [False, False, True]


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("", "Unknown device"),
        ("MyApp/3.1", "MyApp"),
        ("\x01\x7f", "Unknown device"),
        ("é" * 300, "é" * MAX_USER_AGENT_LENGTH),
        ("<script>/1", "<script>"),
    ],
)
def test_any_user_agent_is_a_name(ada: Person, app: Flask, user_agent: str, device: str) -> None:
    log_in(app.test_client(), user_agent)
    assert ada.call("GET", SESSIONS).get_json()["items"][0]["device"] == device


def test_pages_of_sessions(ada: Person, app: Flask) -> None:
    log_in(app.test_client(), FIREFOX)
    page = ada.call("GET", f"{SESSIONS}?limit=1").get_json()
    rest = ada.call("GET", f"{SESSIONS}?limit=1&cursor={page['next_cursor']}").get_json()
    assert [page["items"][0]["current"], rest["items"][0]["current"]] == [False, True]
    assert rest["next_cursor"] is None


def test_ended_session_is_out_at_once_and_the_others_are_not(ada: Person, app: Flask) -> None:
    other = log_in(app.test_client(), FIREFOX)
    listed = ada.call("GET", SESSIONS).get_json()["items"][0]
    assert ada.call("DELETE", f"{SESSIONS}{listed['id']}/").status_code == 204
    assert me(ada.client, other["access_token"]).get_json()["code"] == "session_ended"
    assert refresh(ada.client, other["refresh_token"]).get_json()["code"] == "session_ended"
    assert [one["current"] for one in ada.call("GET", SESSIONS).get_json()["items"]] == [True]
    assert ada.call("DELETE", f"{SESSIONS}{listed['id']}/").status_code == 404


def test_all_other_sessions_end(ada: Person, app: Flask) -> None:
    others = [log_in(app.test_client(), FIREFOX) for _ in range(2)]
    assert ada.call("DELETE", SESSIONS).status_code == 204
    assert [me(ada.client, one["access_token"]).status_code for one in others] == [401, 401]
    assert ada.call("GET", "/api/users/me/").status_code == 200


def test_sessions_of_others_are_not_there(ada: Person, eve: Person) -> None:
    session_id = ada.call("GET", SESSIONS).get_json()["items"][0]["id"]
    assert eve.call("DELETE", f"{SESSIONS}{session_id}/").status_code == 404
    assert eve.call("DELETE", SESSIONS).status_code == 204
    assert [one["id"] for one in ada.call("GET", SESSIONS).get_json()["items"]] == [session_id]


def test_last_use_is_shown_to_the_minute(app: Flask, ada: Person, clock: time_machine.Traveller) -> None:
    (before,) = ada.call("GET", SESSIONS).get_json()["items"]
    clock.shift(300)
    with app.app_context():
        get_accounts_state().credential_cache.clear()  # as after 5 seconds
        ada.call("GET", "/api/users/me/")
        get_accounts_state().uses.store()
    (after,) = ada.call("GET", SESSIONS).get_json()["items"]
    assert before["last_used_at"] == before["created_at"] == after["created_at"]
    assert after["last_used_at"] > before["last_used_at"]


def test_refresh_moves_the_session_to_its_network(ada: Person, client: FlaskClient) -> None:
    options = {"headers": {"User-Agent": FIREFOX}, "environ_base": {"REMOTE_ADDR": "198.51.100.9"}}
    client.post("/api/users/refresh/", json={"refresh_token": ada.refresh_token}, **options)
    (own,) = ada.call("GET", SESSIONS).get_json()["items"]
    assert (own["device"], own["address"]) == ("Firefox on Ubuntu", "198.51.100.0/24")
