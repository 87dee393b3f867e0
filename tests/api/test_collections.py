"""Collections: the rights to read, write and manage them, on every route that takes their documents."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.models import User
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge import collections
from tests.api.test_documents import HOURS, find, send, work
from tests.conftest import PASSWORD, Person, join

pytestmark = pytest.mark.both_databases


@pytest.fixture
def home(ada: Person) -> str:
    made: str = ada.call("POST", "/api/collections/", {"name": "Handbook"}).get_json()["id"]
    return made


def invite(ada: Person, home: str, who: Person, role: str) -> int:
    return ada.call("PUT", f"/api/collections/{home}/members/{who.id}/", {"role": role}).status_code


def let(ada: Person, home: str, who: Person, role: str) -> None:
    """Make a person a member: invited by Ada, and accepted."""
    assert invite(ada, home, who, role) == 204
    assert who.call("POST", f"/api/invitations/{home}/accept/").get_json()["id"] == home


def invitations(who: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.call("GET", "/api/invitations/").get_json()["items"]
    return found


def codes(who: Person, home: str, document: str) -> dict[str, int]:
    """Return the status of each route for a person."""
    body = {"title": "New", "text": f"New text of {who.name}.", "collection_id": home}
    return {
        "read": who.call("GET", f"/api/collections/{home}/").status_code,
        "document": who.call("GET", f"/api/documents/{document}/").status_code,
        "chunks": who.call("GET", f"/api/documents/{document}/chunks/").status_code,
        "events": who.call("GET", f"/api/documents/{document}/events/").status_code,
        "search": who.call("POST", "/api/search/", {"query": "x", "collection_ids": [home]}).status_code,
        "chat": who.says("x", collection_ids=[home]).status_code,
        "send": who.call("POST", "/api/documents/", body).status_code,
        "replace": who.call("PUT", f"/api/documents/{document}/", {"title": "T", "text": f"{HOURS} {who.name}"}).status_code,
        "retry": who.call("POST", f"/api/documents/{document}/retry/").status_code,
        "rename": who.call("PATCH", f"/api/collections/{home}/", {"description": "x"}).status_code,
        "members": who.call("GET", f"/api/collections/{home}/members/").status_code,
        "let in": who.call("PUT", f"/api/collections/{home}/members/{who.id}/", {"role": "writer"}).status_code,
    }  # fmt: skip


NOTHING = dict.fromkeys(
    ("read", "document", "chunks", "events", "search", "chat", "send", "replace", "retry", "rename", "members", "let in"), 404
)  # fmt: skip
READ = {"read": 200, "document": 200, "chunks": 200, "events": 200, "search": 200, "chat": 200}
MAY_NOT = {"send": 403, "replace": 403, "retry": 403, "rename": 403, "members": 403, "let in": 403}
WRITE = {"send": 202, "replace": 202, "retry": 409}


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        ("stranger", NOTHING),
        ("reader", READ | MAY_NOT),
        ("writer", READ | MAY_NOT | WRITE),
        ("shared", READ | MAY_NOT),
        ("invited", NOTHING),
        ("was a reader", NOTHING),
    ],
)
def test_every_door_knows_who_may_what(
    app: Flask, ada: Person, eve: Person, home: str, standing: str, expected: dict[str, int]
) -> None:
    document = send(ada, "Hours", HOURS, collection_id=home)["id"]
    work(app)
    if standing in {"reader", "writer"}:
        let(ada, home, eve, standing)
    if standing == "invited":
        assert invite(ada, home, eve, "writer") == 204
    if standing == "shared":
        ada.call("PATCH", f"/api/collections/{home}/", {"visibility": "shared"})
    if standing == "was a reader":
        let(ada, home, eve, "reader")
        assert find(eve, "library")
        assert ada.call("DELETE", f"/api/collections/{home}/members/{eve.id}/").status_code == 204
    named = eve.call("POST", "/api/search/", {"query": "library", "collection_ids": [home]})
    assert (named.status_code, bool(named.get_json().get("items"))) == (expected["read"], expected["read"] == 200)
    # What somebody shares with everybody is searched when it is named: it must not speak in everybody's prompt.
    assert bool(find(eve, "library")) == (standing in {"reader", "writer"})
    assert codes(eve, home, document) == expected


def test_owner_may_all(app: Flask, ada: Person, home: str) -> None:
    document = send(ada, "Hours", HOURS, collection_id=home)["id"]
    work(app)
    expected = READ | WRITE | {"rename": 200, "members": 200, "let in": 204}
    assert codes(ada, home, document) == expected


def test_everybody_has_one_collection_that_cannot_be_deleted(ada: Person) -> None:
    (default,) = ada.call("GET", "/api/collections/").get_json()["items"]
    assert (default["is_default"], default["owner_id"], default["visibility"]) == (True, ada.id, "private")
    refused = ada.call("DELETE", f"/api/collections/{default['id']}/")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "default_collection")


def test_member_may_leave_for_good_and_is_listed_until_then(ada: Person, eve: Person, home: str) -> None:
    let(ada, home, eve, "reader")
    assert invite(ada, home, eve, "writer") == 204
    expected = {"user_id": eve.id, "username": "eve", "role": "writer", "state": "accepted"}
    assert ada.call("GET", f"/api/collections/{home}/members/").get_json()["items"] == [expected]
    assert ada.call("GET", f"/api/collections/{home}/members/{eve.id}/").get_json() == expected
    assert ada.call("GET", f"/api/collections/{home}/members/{ada.id}/").status_code == 404
    assert eve.call("DELETE", f"/api/collections/{home}/members/{eve.id}/").status_code == 204
    assert eve.call("GET", f"/api/collections/{home}/").status_code == 404
    assert ada.call("GET", f"/api/collections/{home}/members/").get_json()["items"] == []
    assert ada.call("DELETE", f"/api/collections/{home}/members/{eve.id}/").status_code == 404
    again = ada.call("PUT", f"/api/collections/{home}/members/{eve.id}/", {"role": "reader"})
    assert (again.status_code, again.get_json()["code"]) == (409, "member_left")
    assert invitations(eve) == []
    assert ada.call("PUT", f"/api/collections/{home}/members/{uuid4()}/", {"role": "reader"}).status_code == 404


def test_members_are_listed_in_pages(app: Flask, ada: Person, eve: Person, home: str) -> None:
    bob = join(app.test_client(), "bob")
    path = f"/api/collections/{home}/members/"
    for one in (eve, bob):
        invite(ada, home, one, "reader")
    first = ada.call("GET", f"{path}?limit=1").get_json()
    second = ada.call("GET", f"{path}?limit=1&cursor={first['next_cursor']}").get_json()
    assert [one["user_id"] for page in (first, second) for one in page["items"]] == [eve.id, bob.id]
    assert second["next_cursor"] is None


def test_pages_of_collections_neither_skip_nor_repeat(ada: Person) -> None:
    names = [f"C{n}" for n in range(5)]
    for name in names:
        ada.call("POST", "/api/collections/", {"name": name})
    found: list[dict[str, Any]] = []
    path = "/api/collections/?limit=2"
    while path:
        page = ada.call("GET", path).get_json()
        found += page["items"]
        path = page["next_cursor"] and f"/api/collections/?limit=2&cursor={page['next_cursor']}"
    assert sorted(one["name"] for one in found) == sorted([*names, "My documents"])


def test_key_makes_one_collection(ada: Person) -> None:
    def post(name: str) -> Any:
        return ada.call("POST", "/api/collections/", {"name": name}, headers={"Idempotency-Key": "k"})

    assert post("One").get_json()["id"] == post("One").get_json()["id"]
    assert post("Two").status_code == 422


def test_models_list_collections_and_answer_from_them(app: Flask, ada: Person, eve: Person, home: str) -> None:
    send(ada, "Hours", HOURS, collection_id=home)
    work(app)
    kinds = {model["id"]: model["kind"] for model in ada.call("GET", "/v1/models").get_json()["data"]}
    assert kinds["collection:Handbook"] == "collection"
    for name, kind in kinds.items():
        assert ada.call("GET", f"/v1/models/{name}").get_json()["kind"] == kind
    body = {"model": "collection:Handbook", "messages": [{"role": "user", "content": "When is the library open?"}]}
    answer = ada.call("POST", "/v1/chat/completions", body).get_json()
    assert HOURS in answer["choices"][0]["message"]["content"]  # the memory model repeats what it is asked
    assert eve.call("POST", "/v1/chat/completions", body).status_code == 404


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_served_for_openais_clients(ada: Person, encoding: str) -> None:
    body = {"model": "memory-64", "input": ["bees", "dance"], "encoding_format": encoding}
    answer = ada.call("POST", "/v1/embeddings", body).get_json()
    assert [one["index"] for one in answer["data"]] == [0, 1]
    assert isinstance(answer["data"][0]["embedding"], list if encoding == "float" else str)
    assert (
        ada.call("POST", "/v1/embeddings", {"model": "no", "input": "x"}).get_json()["error"]["code"]
        == "model_not_found"
    )
    assert ada.call("POST", "/v1/embeddings", {"model": "memory-64", "input": []}).status_code == 400
    chat = {"model": "memory-64", "messages": [{"role": "user", "content": "Hi"}]}
    assert "embeds texts" in ada.call("POST", "/v1/chat/completions", chat).get_json()["error"]["message"]


def test_nobody_takes_a_models_name_by_sharing_a_collection(app: Flask, ada: Person, eve: Person) -> None:
    for name in ("Handbook", ada.id):
        eve.call("POST", "/api/collections/", {"name": name, "visibility": "shared"})
    mine = ada.call("POST", "/api/collections/", {"name": "Handbook"}).get_json()["id"]
    send(ada, "Hours", HOURS, collection_id=mine)
    work(app)
    names = [one["id"] for one in ada.call("GET", "/v1/models").get_json()["data"]]
    assert "collection:Handbook" in names
    assert f"collection:{ada.id}" not in names
    asked = {"model": "collection:Handbook", "messages": [{"role": "user", "content": "When is the library open?"}]}
    assert ada.call("POST", "/v1/chat/completions", asked).status_code == 200
    with app.app_context():
        model = get_chat_state().llm().models[0]
    assert isinstance(model, MemoryLLM)
    assert HOURS in "\n".join(message.content for message in model.prompts[-1])


def test_administrator_takes_the_operators_collection_back_from_private(app: Flask, ada: Person) -> None:
    with app.app_context():
        home = collections.ensure_operator_collection()
        with write("test") as connection:
            connection.execute(sa.update(User).where(User.username == "ada").values(role="admin"))
    said = {"email": "ada@example.org", "password": PASSWORD}
    ada.access_token = ada.client.post("/api/users/login/", json=said).get_json()["access_token"]
    for visibility in ("private", "shared"):
        changed = ada.call("PATCH", f"/api/collections/{home}/", {"visibility": visibility})
        assert (changed.status_code, changed.get_json()["visibility"]) == (200, visibility)


def test_member_that_is_let_in_many_times_at_once_is_one(ada: Person, eve: Person, home: str) -> None:
    def put(_: int) -> int:
        client = ada.client.application.test_client()
        return (
            Person(client, ada.name, ada.id, ada.access_token, "")
            .call("PUT", f"/api/collections/{home}/members/{eve.id}/", {"role": "reader"})
            .status_code
        )

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(put, range(60))) == {204}
    assert len(ada.call("GET", f"/api/collections/{home}/members/").get_json()["items"]) == 1


@pytest.mark.parametrize(
    ("language", "status"), [("en", 201), (None, 201), ("klingon", 400), ("EN", 400), ("", 400), ("en\n", 400)]
)
def test_language_of_a_collection_is_a_code(ada: Person, language: str | None, status: int) -> None:
    assert ada.call("POST", "/api/collections/", {"name": "Texts", "language": language}).status_code == status
