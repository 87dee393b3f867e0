"""The stream of a server's load, for administrators."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.errors import DatabaseUnavailable
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge.ingestion import worker
from chatbot.web import sse
from tests.api.test_api_keys import make, use
from tests.api.test_documents import HOURS, send
from tests.api.test_event_schemas import Schemas
from tests.conftest import MakeApp, Person, join
from tests.support.roles import promote
from tests.support.turns import ended, gated, running

pytestmark = pytest.mark.both_databases
LIVE = "/api/analytics/live/"


@pytest.fixture
def root(app: Flask) -> Person:
    """Return an administrator."""
    person = join(app.test_client(), "root")
    promote(app, person)
    return person


def follow(person: Person) -> tuple[TestResponse, Iterator[tuple[str, dict[str, Any]]]]:
    """Return a stream, and its events by name."""
    response = person.call("GET", LIVE)
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    return response, read_events(response)


def read_events(response: TestResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    for chunk in response.iter_encoded():
        for block in chunk.decode().removesuffix("\n\n").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            yield fields["event"], json.loads(fields["data"])


def test_load_is_told_again_and_again(app: Flask, root: Person, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    send(ada, "Hours", HOURS)
    turn = running(ada)
    response, events = follow(root)
    name, load = next(events)
    assert name == "load"
    assert (load["running_turns"], load["turn_slots"], load["documents_waiting"]) == (1, 2048, 1)
    assert {"model": "gpt-3.5-turbo", "open": 0} in load["breakers"]
    Schemas(app).validate("LoadEvent", load)
    gate.set()
    ended(ada, turn["id"])
    later = next(events)[1]
    response.close()
    assert later["running_turns"] == 0
    assert later["at"] > load["at"]


def test_load_is_what_the_metrics_say(app: Flask, root: Person) -> None:
    response, events = follow(root)
    load = next(events)[1]
    response.close()
    lines = app.test_client().get("/metrics").text.splitlines()
    assert f'chatbot_turn_slots{{state="all"}} {float(load["turn_slots"])}' in lines
    for one in load["breakers"]:
        assert f'chatbot_breaker_open{{model="{one["model"]}"}} {float(one["open"])}' in lines
    for one in load["sockets"]:
        assert f'chatbot_sockets{{namespace="{one["namespace"]}"}} {float(one["connections"])}' in lines


def test_load_needs_no_database(root: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    response, events = follow(root)
    before = next(events)[1]

    def refuse() -> int:
        raise DatabaseUnavailable

    monkeypatch.setattr(worker, "count_waiting", refuse)
    after = next(events)[1]
    response.close()
    assert after["documents_waiting"] == before["documents_waiting"]


def test_load_ends_while_the_process_drains(app: Flask, root: Person) -> None:
    _, events = follow(root)
    next(events)
    with app.app_context():
        get_chat_state().slots.close()
    assert [name for name, _ in events] == ["load"]


def test_load_ends_with_the_access_token(root: Person, clock: time_machine.Traveller) -> None:
    _, events = follow(root)
    next(events)
    clock.shift(timedelta(minutes=16))
    assert [(name, data["code"]) for name, data in events] == [
        ("problem", "unauthenticated"),
        ("error", "unauthenticated"),
    ]


def test_load_ends_with_the_session_or_the_role(
    app: Flask, root: Person, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "CHECK_INTERVAL_SECONDS", 0.0)
    promote(app, ada)
    _, events = follow(root)
    next(events)
    ada.call("PATCH", f"/api/admin/users/{root.id}/", {"role": "user"})
    assert [data["code"] for _, data in events] == ["forbidden"] * 2
    _, events = follow(ada)
    next(events)
    ada.call("POST", "/api/users/logout/")
    assert [data["code"] for _, data in events] == ["session_ended"] * 2


def test_load_takes_a_key_with_both_scopes(root: Person) -> None:
    refused = use(root, make(root, "analytics")["secret"], "GET", LIVE)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
    response = use(root, make(root, "analytics", "admin")["secret"], "GET", LIVE)
    assert next(read_events(response))[0] == "load"
    response.close()


def test_streams_of_a_user_are_bounded(make_app: MakeApp) -> None:
    app = make_app(RATELIMIT_ENABLED="true", STREAMS_PER_USER="1")
    root = join(app.test_client(), "root")
    promote(app, root)
    response, events = follow(root)
    next(events)
    refused = root.call("GET", LIVE)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_streams")
    response.close()
    again, _ = follow(root)
    again.close()
