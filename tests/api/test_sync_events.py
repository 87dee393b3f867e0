"""The stream of a user's changes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.database.types import uuid7
from chatbot.models import SyncState
from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases


def read_events(chunks: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the name, the data and the last id of each event."""
    last_id = ""
    for chunk in chunks:
        for block in chunk.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
            last_id = fields.get("id", last_id)
            if "event" in fields:
                yield fields["event"], json.loads(fields["data"]), last_id


def test_events_tell_of_changes_and_of_running_answers(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    response = ada.call("GET", "/api/sync/events/")
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    events = read_events(response.iter_encoded())
    assert next(events)[:2] == ("running", {"turn_id": turn["id"], "conversation_id": turn["conversation_id"]})
    gate.set()
    ended(ada, turn["id"])
    found = [next(events) for _ in range(2)]
    response.close()
    assert [(name, item["type"]) for name, item, _ in found] == [("change", "conversation"), ("change", "turn")]
    assert found[1][1]["data"]["bot_response"] == "one two"
    ada.says("later")
    again = ada.call("GET", "/api/sync/events/", headers={"Last-Event-ID": found[-1][2]})
    titles = [item["data"].get("title") for _, item, _ in (next(read_events(again.iter_encoded())),)]
    again.close()
    assert titles == ["later"]


def test_events_begin_at_the_cursor_of_the_address_until_an_event_has_come(ada: Person, eve: Person) -> None:
    cursor = ada.call("GET", "/api/sync/").get_json()["next_cursor"]
    path = f"/api/sync/events/?since={cursor}"

    def read_titles(headers: dict[str, str]) -> tuple[list[Any], str]:
        response = ada.call("GET", path, headers=headers)
        events = read_events(response.iter_encoded())
        found = [next(events), next(events)]
        response.close()
        return [item["data"].get("title") for _, item, _ in found], found[-1][2]

    ada.says("one")
    titles, last_id = read_titles({})
    assert titles == ["one", None]
    ada.says("two")
    assert read_titles({"Last-Event-ID": last_id})[0] == ["two", None]
    document = ada.client.get("/api/openapi.json").get_json()["paths"]["/api/sync/events/"]["get"]
    assert {one["name"] for one in document["parameters"]} == {"since", "Last-Event-ID"}
    foreign = eve.call("GET", path)
    assert (foreign.status_code, foreign.get_json()["code"]) == (410, "cursor_expired")
    assert list(ada.call("GET", "/api/sync/events/?since=").get_json()["errors"]) == ["since"]
    invalid = ada.call("GET", path, headers={"Last-Event-ID": "12"})
    assert (invalid.status_code, list(invalid.get_json()["errors"])) == (400, ["Last-Event-ID"])


def test_events_begin_anew_after_a_restore(app: Flask, ada: Person) -> None:
    response = ada.call("GET", "/api/sync/events/")
    chunks = response.iter_encoded()
    with app.app_context(), write("test") as connection:
        connection.execute(sa.update(SyncState).values(epoch=uuid7()))
    assert next(read_events(chunks))[0] == "reset"
    assert list(chunks) == []
    response.close()
