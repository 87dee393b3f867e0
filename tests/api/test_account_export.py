"""Exports of all that is held about a user."""

import base64
from collections import defaultdict
from typing import Any
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.models import Session
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.privacy import tables
from chatbot.services.privacy.user_table import UserTable
from tests.api.test_documents import HOURS, send, work
from tests.conftest import PASSWORD, Person

pytestmark = pytest.mark.both_databases

PATH = "/api/users/me/export/"


def read_export(person: Person) -> dict[str, list[Any]]:
    """Return the data of a user's export by their kinds."""
    response = person.call("GET", PATH)
    assert (response.status_code, response.mimetype) == (200, "application/x-ndjson")
    return group(response.get_data())


def group(lines: bytes) -> dict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for line in map(orjson.loads, lines.splitlines()):
        assert line.keys() == {"kind", "data"}
        found[line["kind"]].append(line["data"])
    assert found["end"] == [{"rows": sum(map(len, found.values())) - 2}]
    return found


def fill(app: Flask, person: Person) -> dict[str, str]:
    """Let a user have something in each table; return the ids."""
    document = send(person, "Opening hours", HOURS, metadata={"year": 2024}, external_id="hours")
    work(app)
    headers = {"Idempotency-Key": "one"}
    turn = person.call("POST", "/api/chat/", {"message": "When is the library open?"}, headers=headers).get_json()
    person.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": 1, "comment": "good"})
    conversation = f"/api/conversations/{turn['conversation_id']}"
    person.call("PATCH", f"{conversation}/", {"tags": ["books"], "instructions": "Be brief."})
    person.call("POST", f"{conversation}/shares/", {})
    person.call("POST", "/api/users/api-keys/", {"name": "script", "scopes": ["chat"]})
    room = person.call("POST", "/api/rooms/", {"name": "Lake"}).get_json()["id"]
    person.call("POST", f"/api/rooms/{room}/messages/", {"text": "Hello lake", "client_id": "a"})
    return {"document": document["id"], "turn": turn["id"], "room": room}


def test_export_has_what_the_user_sent_and_nothing_of_others(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM
) -> None:
    made = fill(app, ada)
    others = fill(app, eve)
    eve.call("PUT", f"/api/rooms/{others['room']}/members/{ada.id}/", {"role": "member"})
    found = read_export(ada)
    (account,) = found["account"]
    assert (account["email"], account["username"]) == ("ada@example.org", "ada")
    (turn,) = found["turn"]
    assert (turn["id"], turn["user_message"]) == (made["turn"], "When is the library open?")
    assert turn["bot_response"]
    assert turn["citations"][0]["quote"]
    assert [one["comment"] for one in found["feedback"]] == ["good"]
    assert [one["tag"] for one in found["conversation_tag"]] == ["books"]
    assert [one["instructions"] for one in found["conversation"]] == ["Be brief."]
    assert [one["id"] for one in found["document"]] == [made["document"]]
    assert found["document"][0]["metadata"] == {"year": 2024}
    assert b"".join(base64.b64decode(one["data"]) for one in found["document_piece"]).decode() == HOURS
    assert "".join(one["text"] for one in found["chunk"]).split()[:3] == HOURS.split()[:3]
    assert {one["id"] for one in found["room"]} == {made["room"], others["room"]}
    assert sorted(one["text"] for one in found["room_message"]) == ["Hello lake", "ada was added."]
    assert len(found["ledger_entry"]) == len(found["turn_trace"]) == len(found["conversation_share"]) == 1
    assert [one["name"] for one in found["api_key"]] == ["script"]
    assert found["session"][0]["user_agent"]
    text = ada.call("GET", PATH).get_data(as_text=True)
    for one in (eve.id, others["document"], others["turn"], "eve@example.org"):
        assert one not in text


def test_export_has_no_titles_of_documents_that_the_user_may_not_read(app: Flask, ada: Person, eve: Person) -> None:
    shared = eve.call("POST", "/api/collections/", {"name": "Library", "visibility": "shared"}).get_json()["id"]
    send(eve, "Zebra hours", HOURS, collection_id=shared)
    work(app)
    ada.says("When is the library open on weekdays?", collection_ids=[shared])
    assert list_titles(read_export(ada)) == {"Zebra hours"}
    eve.call("PATCH", f"/api/collections/{shared}/", {"visibility": "private"})
    assert list_titles(read_export(ada)) == {""}


def list_titles(export: dict[str, list[Any]]) -> set[str]:
    """Return the titles in the citations of a turn and in its trace."""
    cited = [export["turn"][0]["citations"], export["turn_trace"][0]["facts"]["candidates"]]
    assert all(cited)
    return {one["title"] for citations in cited for one in citations}


def test_export_has_no_secrets(app: Flask, ada: Person) -> None:
    fill(app, ada)
    secret = ada.call("POST", "/api/users/api-keys/", {"name": "other", "scopes": ["chat"]}).get_json()["secret"]
    text = ada.call("GET", PATH).get_data(as_text=True)
    for name in ("password", "hash", "lease", "jti", "secret"):
        assert f'{name}"' not in text.replace("content_hash", "")
    assert secret not in text


def test_export_is_read_in_pages(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(23):
        ada.says(f"message {number}")
    expected = read_export(ada)
    small = tuple(_with_small_pages(one) for one in tables.USER_TABLES)
    monkeypatch.setattr("chatbot.services.privacy.export.USER_TABLES", small)
    found = read_export(ada)
    assert [one["user_message"] for one in found["turn"]] == [f"message {number}" for number in range(23)]
    for kind in expected.keys() - {"export"}:
        assert sorted(map(str, found[kind])) == sorted(map(str, expected[kind])), kind


def _with_small_pages(table: UserTable) -> UserTable:
    values = {name: getattr(table, name) for name in UserTable.__slots__}
    return UserTable(**values | {"page_rows": 2, "children": tuple(map(_with_small_pages, table.children))})


def test_quotes_that_one_may_not_read_any_more_are_left_out(
    app: Flask, ada: Person, eve: Person, llm: MemoryLLM
) -> None:
    shared = eve.call("POST", "/api/collections/", {"name": "Library", "visibility": "shared"}).get_json()["id"]
    send(eve, "Opening hours", HOURS, collection_id=shared)
    work(app)
    llm.says("The library is open from nine to five on weekdays [1].")
    ada.says("When is the library open on weekdays?", collection_ids=[shared])
    assert read_export(ada)["turn"][0]["citations"][0]["quote"]
    eve.call("PATCH", f"/api/collections/{shared}/", {"visibility": "private"})
    assert not read_export(ada)["turn"][0]["citations"][0]["quote"]


def test_export_ends_with_its_session(app: Flask, ada: Person) -> None:
    response = ada.call("GET", PATH, buffered=False)
    lines = iter(response.response)
    next(lines)
    with app.app_context(), write("test") as connection:
        connection.execute(sa.delete(Session).where(Session.user_id == UUID(ada.id)))
    with pytest.raises(Exception, match="The session has ended"):
        list(lines)


def test_operator_exports_an_account(app: Flask, ada: Person) -> None:
    fill(app, ada)
    ended = app.test_cli_runner().invoke(args=["users", "export", "ada@example.org"])
    assert ended.exit_code == 0
    found = group(ended.stdout_bytes)
    expected = read_export(ada)
    assert {kind: len(rows) for kind, rows in found.items()} == {kind: len(rows) for kind, rows in expected.items()}
    ended = app.test_cli_runner().invoke(args=["users", "export", "nobody@example.org"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert PASSWORD not in str(found)
