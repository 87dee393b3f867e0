"""Helpers for running turns: hold a model up, wait for an end, read events."""

import threading
from typing import Any

from werkzeug.test import TestResponse

from chatbot.rag.errors import UpstreamIncomplete
from chatbot.rag.llms.memory import MemoryLLM
from tests.conftest import Person
from tests.support import processes
from tests.support.processes import Event
from tests.support.waiting import wait_for


def events(response: TestResponse) -> list[Event]:
    return processes.events(response.get_data(as_text=True))


def text(found: list[Event]) -> str:
    return "".join(data["text"] for _, name, data in found if name == "delta")


def gated(llm: MemoryLLM, *pieces: str) -> threading.Event:
    """Script one answer; its last piece waits until the event is set, or the turn is stopped."""
    gate = threading.Event()
    stream = llm.stream

    def slow(ask):
        llm.stream = stream
        llm.says(*pieces)
        *first, last, finish = list(stream(ask))
        yield from first
        while not gate.wait(0.01):
            if ask.cancel_token.requested:
                raise UpstreamIncomplete("as a connection that is closed")
        yield last
        yield finish

    llm.stream = slow
    return gate


def later(seconds: float, gate: threading.Event) -> None:
    threading.Timer(seconds, gate.set).start()


def running(person: Person, *, begun: bool = True, **options: Any) -> dict[str, Any]:
    """Start a turn; unless its model says nothing before the gate opens, wait until its text has begun."""
    response = person.call("POST", "/api/chat/", {"message": "Hi"}, headers={"Prefer": "respond-async"}, **options)
    assert response.status_code == 202
    turn: dict[str, Any] = response.get_json()
    if begun:
        wait_for(lambda: read_turn(person, turn["id"])["bot_response"], 10)
    return turn


def read_turn(person: Person, turn_id: str) -> dict[str, Any]:
    turn: dict[str, Any] = person.call("GET", f"/api/chat/{turn_id}/").get_json()
    return turn


def wait_for_text(person: Person, turn_id: str, text: str) -> dict[str, Any]:
    """Return the turn as soon as this is its whole text."""
    wait_for(lambda: read_turn(person, turn_id)["bot_response"] == text)
    return read_turn(person, turn_id)


def ended(person: Person, turn_id: str) -> dict[str, Any]:
    return wait_for(
        lambda: turn if (turn := read_turn(person, turn_id))["status"] not in {"pending", "streaming"} else {}, 10
    )


def resumed(person: Person, turn_id: str, offset: int | str | None) -> list[Event]:
    headers = {} if offset is None else {"Last-Event-ID": str(offset)}
    return events(person.call("GET", f"/api/chat/{turn_id}/events/", headers=headers))
