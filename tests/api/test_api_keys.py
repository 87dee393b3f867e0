"""API keys: their life, their secrets, and which routes each scope opens."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import DatabaseBusy, Unauthenticated
from chatbot.models import ApiKey, User
from chatbot.schemas.accounts import auth as schema
from chatbot.services.accounts import api_keys, authentication
from chatbot.services.accounts.credential_cache import CREDENTIAL_CACHE_SECONDS
from chatbot.services.accounts.state import get_accounts_state
from chatbot.services.chat import following
from chatbot.services.operations import retention
from chatbot.web import sse
from tests.api.test_auth import log_in
from tests.conftest import Person
from tests.support.roles import disable

KEYS = "/api/users/api-keys/"
ALL_SCOPES = ["chat", "history", "knowledge:read", "knowledge:write", "v1", "analytics", "mint"]
SOME_ID = UUID(int=7)


def make(person: Person, *scopes: str, **fields: Any) -> dict[str, Any]:
    response = person.call("POST", KEYS, {"name": "script", "scopes": list(scopes or ALL_SCOPES), **fields})
    made: dict[str, Any] = response.get_json()
    assert response.status_code == 201, made
    return made


def use(
    person: Person, secret: str, method: str = "GET", path: str = "/api/users/me/", body: Any = None
) -> TestResponse:
    headers = {"Authorization": f"Bearer {secret}"}
    return person.client.open(path, method=method, json=body, headers=headers)


@pytest.mark.both_databases
def test_key_is_made_listed_used_and_deleted(ada: Person) -> None:
    made = make(ada, "v1", "chat", "chat")
    secret = made.pop("secret")
    assert (secret[:3], len(secret), made["prefix"], made["last4"]) == ("ck_", 49, secret[:8], secret[-4:])
    assert made["scopes"] == ["chat", "v1"]
    assert ada.call("GET", KEYS).get_json() == {"items": [{**made, "last_used_at": None}], "next_cursor": None}
    turn = use(ada, secret, "POST", "/api/chat/", {"message": "hello"})
    assert (turn.status_code, turn.headers["Cache-Control"]) == (200, "no-store")
    assert [one["id"] for one in ada.history()] == [turn.get_json()["id"]]
    assert use(ada, secret).get_json()["id"] == ada.id
    assert ada.call("DELETE", f"{KEYS}{made['id']}/").status_code == 204
    assert use(ada, secret).status_code == 401
    assert ada.call("DELETE", f"{KEYS}{made['id']}/").status_code == 404


@pytest.mark.both_databases
def test_last_use_is_stored_beside_the_requests(ada: Person, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = make(ada)["secret"]
    with monkeypatch.context() as busy:
        busy.setattr("chatbot.services.accounts.credential_uses.write", refuse_write)
        assert use(ada, secret).status_code == 200
        with app.app_context(), pytest.raises(DatabaseBusy):
            get_accounts_state().uses.store()
    assert ada.call("GET", KEYS).get_json()["items"][0]["last_used_at"] is None
    with app.app_context():
        get_accounts_state().uses.store()
    assert ada.call("GET", KEYS).get_json()["items"][0]["last_used_at"] is not None


@pytest.mark.both_databases
def test_rotated_key_goes_on_for_the_overlap(ada: Person, clock: time_machine.Traveller) -> None:
    made = make(ada, name="ci", scopes=["chat", "v1"])
    clock.shift(timedelta(minutes=10))
    answer = ada.call("POST", f"{KEYS}{made['id']}/rotate/", {"overlap_seconds": 3600})
    successor = answer.get_json()
    assert answer.status_code == 201
    assert (successor["name"], successor["scopes"]) == ("ci", ["chat", "v1"])
    assert days_of(successor) == days_of(made) == 90
    assert use(ada, made["secret"]).status_code == use(ada, successor["secret"]).status_code == 200
    clock.shift(timedelta(hours=1, seconds=6))
    assert use(ada, made["secret"]).status_code == 401
    assert use(ada, successor["secret"]).status_code == 200
    later = replace(ada, access_token=log_in(ada.client).get_json()["access_token"])
    assert later.call("POST", f"{KEYS}{made['id']}/rotate/", {}).status_code == 404  # it has expired


def days_of(key: dict[str, Any]) -> int:
    created, expires = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    return round((expires - created) / timedelta(days=1))


@pytest.mark.both_databases
def test_rotation_without_overlap_ends_the_old_key_and_keeps_the_number(ada: Person) -> None:
    keys = [make(ada) for _ in range(api_keys.MAX_API_KEYS_PER_USER)]
    rotated = {"headers": {"Idempotency-Key": "k"}}
    answers = [ada.call("POST", f"{KEYS}{keys[0]['id']}/rotate/", {}, **rotated).get_json() for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"] != keys[0]["id"]
    assert (answers[0]["secret"] is None, answers[1]["secret"]) == (False, None)
    assert use(ada, keys[0]["secret"]).status_code == 401
    assert use(ada, answers[0]["secret"]).status_code == 200
    late = ada.call("POST", f"{KEYS}{keys[1]['id']}/rotate/", {"overlap_seconds": 60})
    assert late.get_json()["code"] == "too_many_api_keys"


@pytest.mark.parametrize("overlap", [-1, 86_401, 1.5, "1", True])
def test_other_overlaps_are_400(ada: Person, overlap: object) -> None:
    answer = ada.call("POST", f"{KEYS}{make(ada)['id']}/rotate/", {"overlap_seconds": overlap})
    assert (answer.status_code, list(answer.get_json()["errors"])) == (400, ["overlap_seconds"])


def refuse_write(*_: Any, **__: Any) -> NoReturn:
    raise DatabaseBusy("The database is busy.")


def test_secret_is_stored_nowhere(ada: Person, app: Flask) -> None:
    secret = make(ada)["secret"]
    with app.app_context(), read() as connection:
        row = connection.execute(sa.select(ApiKey.__table__)).one()
    assert secret[8:-4] not in repr(row)


def test_keys_are_their_users_own(ada: Person, eve: Person) -> None:
    key_id = make(ada)["id"]
    assert eve.call("GET", KEYS).get_json()["items"] == []
    assert eve.call("DELETE", f"{KEYS}{key_id}/").status_code == 404
    assert len(ada.call("GET", KEYS).get_json()["items"]) == 1


@pytest.mark.both_databases
def test_replay_never_shows_the_secret_again(ada: Person) -> None:
    body = {"name": "script", "scopes": ["chat"]}
    first, second = (ada.call("POST", KEYS, body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.get_json() == {**first.get_json(), "secret": None}
    other = ada.call("POST", KEYS, {**body, "name": "other"}, headers={"Idempotency-Key": "k"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"), ({"name": "x" * 101}, "name"), ({"name": None}, "name"), ({"scopes": []}, "scopes"),
        ({"scopes": ["music"]}, "scopes.0"), ({"scopes": "chat"}, "scopes"), ({"scopes": ["chat"] * 50}, "scopes"),
        ({"expires_at": "soon"}, "expires_at"), ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "expires_at"), ({"expires_at": 5}, "expires_at"), ({"user_id": "x"}, "user_id"),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_key_is_400(shared_ada: Person, fields: dict[str, Any], field: str) -> None:
    response = shared_ada.call("POST", KEYS, {"name": "script", "scopes": ["chat"], **fields})
    assert (response.status_code, list(response.get_json()["errors"])) == (400, [field])


def test_user_has_a_bounded_number_of_keys(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "MAX_API_KEYS_PER_USER", 2)
    first = make(ada)
    make(ada)
    refused = ada.call("POST", KEYS, {"name": "one more", "scopes": ["chat"]})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_api_keys")
    ada.call("DELETE", f"{KEYS}{first['id']}/")
    make(ada)


def test_end_of_a_key(ada: Person, app: Flask) -> None:
    end = (now() + timedelta(days=3)).isoformat()
    made = make(ada, expires_at=end)
    assert made["expires_at"][:10] == end[:10]
    assert use(ada, made["secret"]).status_code == 200
    with app.app_context():
        with write("test") as connection:
            connection.execute(sa.update(ApiKey).values(expires_at=now() - timedelta(seconds=1)))
        get_accounts_state().credential_cache.clear()  # as after 5 seconds
    assert use(ada, made["secret"]).get_json()["code"] == "unauthenticated"
    assert len(ada.call("GET", KEYS).get_json()["items"]) == 1


@pytest.mark.both_databases
def test_expired_keys_are_purged_as_sessions_are(ada: Person, app: Flask) -> None:
    make(ada)
    make(ada)
    with app.app_context():
        with write("test") as connection:
            some = sa.select(ApiKey.id).limit(1).scalar_subquery()
            connection.execute(sa.update(ApiKey).where(ApiKey.id == some).values(expires_at=now() - timedelta(days=31)))
        retention.purge(timedelta(days=30))
    assert len(ada.call("GET", KEYS).get_json()["items"]) == 1


def test_disabled_users_keys_open_nothing(ada: Person, app: Flask) -> None:
    secret = make(ada)["secret"]
    assert use(ada, secret).status_code == 200
    with app.app_context():
        disable("ada@example.org")
        get_accounts_state().credential_cache.clear()  # as after 5 seconds
    assert use(ada, secret).status_code == 401


def test_guesses_are_401_and_never_reach_the_database(ada: Person, app: Flask) -> None:
    secret = make(ada)["secret"]
    guesses = [
        "ck_",
        "ck_x",
        secret[:-1],
        secret + "0",
        secret[:-1] + chr(ord(secret[-1]) ^ 1),
        "CK_" + secret[3:],
        f"ck_{'é' * 46}",
    ]
    statements: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    for guess in guesses:
        header = f"Bearer {guess}".encode().decode("latin-1")
        answer = ada.client.get("/api/users/me/", headers={"Authorization": header})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert statements == []
    assert use(ada, api_keys.generate_secret()).status_code == 401
    assert len(statements) == 1


def test_deleted_key_ends_what_is_followed_with_it(ada: Person, app: Flask) -> None:
    made = make(ada)
    with app.app_context():
        caller = authentication.authenticate(made["secret"])
        authentication.require_open(caller)
        with write("test") as connection:  # in another process
            connection.execute(sa.delete(ApiKey))
        with pytest.raises(Unauthenticated):
            authentication.require_open(caller)


def test_cached_key_ends_when_it_expires(ada: Person, app: Flask) -> None:
    made = make(ada)
    with app.app_context():
        key_id = UUID(made["id"])
        caller = authentication.authenticate(made["secret"])
        cache = get_accounts_state().credential_cache
        assert cache.get(key_id) == caller
        cache.add(caller, cache.generation, now())
        assert cache.get(key_id) is None


def test_stream_outlives_its_credential_no_longer_than_a_request_may() -> None:
    assert sse.CHECK_INTERVAL_SECONDS + following.HEARTBEAT_SECONDS <= CREDENTIAL_CACHE_SECONDS


def test_administrators_rights_need_their_scope(ada: Person, app: Flask) -> None:
    assert ada.call("POST", KEYS, {"name": "x", "scopes": ["admin"]}).get_json()["code"] == "forbidden"
    with app.app_context():
        with write("test") as connection:
            connection.execute(sa.update(User).values(role="admin"))
        get_accounts_state().credential_cache.clear()
        plain = make(ada)["secret"]
        full = make(ada, "admin")["secret"]
        assert authentication.authenticate(plain).role == "user"
        assert authentication.authenticate(full).role == "admin"


def test_schema_and_service_have_the_same_scopes() -> None:
    assert list(api_keys.SCOPES) == schema.SCOPES
