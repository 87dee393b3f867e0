"""Administration: accounts of others, turns read for a reason, and the logs of both."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.test_api_keys import make, use
from tests.api.test_auth import log_in, refresh
from tests.conftest import Person
from tests.support.roles import disable

pytestmark = pytest.mark.both_databases
NO_ID = "01a22bcb-3adb-770d-878f-0032de83308f"
USERS = "/api/admin/users/"


def change(root: Person, user: Person, **values: Any) -> TestResponse:
    return root.call("PATCH", f"{USERS}{user.id}/", values)


def list_names(root: Person, query: str = "") -> list[str]:
    return [one["username"] for one in root.call("GET", f"{USERS}?{query}").get_json()["items"]]


def test_users_are_found_by_name_role_and_state(root: Person, ada: Person, eve: Person) -> None:
    assert list_names(root) == ["root", "ada", "eve"]
    assert list_names(root, "q=ADA") == ["ada"]
    assert list_names(root, "q=eve@EXAMPLE") == ["eve"]
    assert list_names(root, "q=%25") == []
    assert list_names(root, "role=admin") == ["root"]
    change(root, eve, disabled=True)
    assert list_names(root, "disabled=true") == ["eve"]
    assert list_names(root, "disabled=false") == ["root", "ada"]
    page = root.call("GET", f"{USERS}?limit=2").get_json()
    assert list_names(root, f"limit=2&cursor={page['next_cursor']}") == ["eve"]
    assert "password" not in str(page)


def test_disabled_user_is_out_until_enabled(root: Person, ada: Person) -> None:
    key = make(ada, "chat")["secret"]
    answer = change(root, ada, disabled=True)
    assert (answer.status_code, answer.get_json()["disabled"]) == (200, True)
    assert ada.call("GET", "/api/users/me/").get_json()["code"] == "session_ended"
    assert refresh(ada.client, ada.refresh_token).status_code == 401
    assert log_in(ada.client).get_json()["code"] == "invalid_credentials"
    assert use(ada, key).status_code == 401
    assert change(root, ada, disabled=False).get_json()["disabled"] is False
    assert ada.call("GET", "/api/users/me/").status_code == 401  # the old sessions stay ended
    assert log_in(ada.client).status_code == 200
    assert use(ada, key).status_code == 200


def test_role_takes_effect_at_once(root: Person, ada: Person) -> None:
    assert ada.call("GET", USERS).get_json()["code"] == "forbidden"
    assert change(root, ada, role="admin").get_json()["role"] == "admin"
    assert ada.call("GET", USERS).status_code == 200
    assert change(ada, root, role="user").status_code == 200
    assert root.call("GET", USERS).get_json()["code"] == "forbidden"


@pytest.mark.parametrize("values", [{"role": "user"}, {"disabled": True}, {"role": "user", "disabled": True}])
def test_last_administrator_cannot_step_down(root: Person, ada: Person, values: dict[str, Any]) -> None:
    answer = change(root, root, **values)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "last_admin")
    change(root, ada, role="admin")
    change(ada, ada, disabled=False)
    assert change(root, root, **values).status_code == 200
    assert change(ada, ada, role="user").get_json()["code"] == "last_admin"


def test_one_of_two_administrators_who_step_down_at_once_stays(app: Flask, root: Person, ada: Person) -> None:
    change(root, ada, role="admin")
    codes: list[int] = []
    ready = threading.Barrier(2)

    def step_down(person: Person) -> None:
        client = app.test_client()
        ready.wait(5)
        headers = {"Authorization": f"Bearer {person.access_token}"}
        codes.append(client.patch(f"{USERS}{person.id}/", json={"role": "user"}, headers=headers).status_code)

    threads = [threading.Thread(target=step_down, args=(one,)) for one in (root, ada)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(codes) == [200, 409]


def test_sensitive_change_needs_a_recent_login(root: Person, ada: Person, clock: time_machine.Traveller) -> None:
    clock.shift(timedelta(minutes=11))
    answer = change(root, ada, role="admin")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "reauthentication_required")
    assert list_names(root, "role=admin") == ["root"]
    body = {"name": "script", "scopes": ["admin"]}
    assert root.call("POST", "/api/users/api-keys/", body).get_json()["code"] == "reauthentication_required"


def test_key_with_the_scope_needs_no_login_but_the_one_that_makes_it(
    root: Person, ada: Person, clock: time_machine.Traveller
) -> None:
    key = make(root, "admin")
    clock.shift(timedelta(minutes=11))
    assert use(root, key["secret"], "PATCH", f"{USERS}{ada.id}/", {"disabled": True}).status_code == 200
    rotated = root.call("POST", f"/api/users/api-keys/{key['id']}/rotate/")
    assert rotated.get_json()["code"] == "reauthentication_required"


def test_operator_may_disable_the_last_administrator(context: Flask, root: Person) -> None:
    """It may be an intruder's account."""
    disable("root@example.org")
    assert root.call("GET", USERS).status_code == 401


def test_all_sessions_of_a_user_end(root: Person, ada: Person) -> None:
    log_in(ada.client)
    assert root.call("POST", f"{USERS}{ada.id}/sessions/end/").status_code == 204
    assert ada.call("GET", "/api/users/me/").get_json()["code"] == "session_ended"
    entry = root.call("GET", "/api/admin/audit/").get_json()["items"][0]
    assert (entry["action"], entry["user_id"], entry["details"]) == ("sessions_ended", ada.id, {"sessions": 2})


def test_turn_is_read_for_a_reason_that_its_user_sees(root: Person, ada: Person) -> None:
    turn = ada.says("a secret").get_json()
    path = f"/api/admin/turns/{turn['id']}/"
    assert root.call("GET", path).get_json()["code"] == "validation_failed"
    assert root.call("GET", f"{path}?reason=%20%20%20").get_json()["code"] == "validation_failed"
    assert ada.call("GET", "/api/users/me/access-log/").get_json()["items"] == []
    shown = root.call("GET", f"{path}?reason=Ticket 4711").get_json()
    assert (shown["id"], shown["user_message"]) == (turn["id"], "a secret")
    (access,) = ada.call("GET", "/api/users/me/access-log/").get_json()["items"]
    assert (access["actor"], access["action"], access["reason"]) == ("root", "turn_read", "Ticket 4711")
    assert access["details"] == {"turn_id": turn["id"]}
    (entry,) = root.call("GET", f"/api/admin/audit/?user_id={ada.id}").get_json()["items"]
    assert (entry["actor_id"], entry["user_id"]) == (root.id, ada.id)


def test_trace_is_read_for_a_reason_too(root: Person, ada: Person) -> None:
    collection = ada.call("POST", "/api/collections/", {"name": "Ours"}).get_json()["id"]
    turn = ada.says("Where are the tapirs?", collection_ids=[collection]).get_json()
    path = f"/api/admin/turns/{turn['id']}/trace/"
    assert root.call("GET", path).get_json()["code"] == "validation_failed"
    assert ada.call("GET", "/api/users/me/access-log/").get_json()["items"] == []
    trace = root.call("GET", f"{path}?reason=Ticket 4711").get_json()
    assert trace == ada.call("GET", f"/api/chat/{turn['id']}/trace/").get_json()
    assert trace["retrieval_query"] == "Where are the tapirs?"
    (access,) = ada.call("GET", "/api/users/me/access-log/").get_json()["items"]
    assert (access["action"], access["reason"], access["details"]) == (
        "trace_read",
        "Ticket 4711",
        {"turn_id": turn["id"]},
    )


def test_each_change_is_in_the_audit_log_once(root: Person, ada: Person) -> None:
    change(root, ada, disabled=True)
    change(root, ada, disabled=True)
    change(root, ada, role="admin", disabled=False)
    change(root, ada, role="admin")
    entries = root.call("GET", "/api/admin/audit/").get_json()["items"]
    assert [one["details"] for one in entries] == [{"role": "admin", "disabled": False}, {"disabled": True}]
    assert {one["actor"] for one in entries} == {"root"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", USERS, None),
        ("PATCH", f"{USERS}{NO_ID}/", {"role": "admin"}),
        ("POST", f"{USERS}{NO_ID}/sessions/end/", None),
        ("GET", f"/api/admin/turns/{NO_ID}/?reason=curious", None),
        ("GET", f"/api/admin/turns/{NO_ID}/trace/?reason=curious", None),
        ("GET", "/api/admin/audit/", None),
    ],
)
def test_administration_is_for_administrators(root: Person, ada: Person, method: str, path: str, body: Any) -> None:
    assert ada.call(method, path, body).get_json()["code"] == "forbidden"
    key = make(root, "chat")["secret"]
    assert use(root, key, method, path, body).get_json()["code"] == "scope_missing"
    if NO_ID in path:
        assert root.call(method, path, body).status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"role": "root"}, {"disabled": "yes"}, {"email": "x@example.org"}, {"role": None}]
)
def test_change_of_nothing_known_is_refused(root: Person, ada: Person, body: dict[str, Any]) -> None:
    assert change(root, ada, **body).get_json()["code"] == "validation_failed"
