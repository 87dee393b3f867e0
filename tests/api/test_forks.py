"""Forks: copies of conversations up to a turn."""

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.api import conversations as api
from chatbot.database import failpoints
from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.models import ChatMessage, Conversation, SyncChange, SyncCounter
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.copies import forks
from chatbot.web import admission
from tests.conftest import MakeApp, Person, join
from tests.support.turns import ended, gated, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

NEW = {"id", "conversation_id", "siblings"}


def fork(person: Person, conversation_id: str, **body: Any) -> dict[str, Any]:
    response = person.call("POST", f"/api/conversations/{conversation_id}/fork/", body)
    assert response.status_code == 201, response.get_json()
    forked: dict[str, Any] = response.get_json()
    return forked


def talk(person: Person, *messages: str) -> list[dict[str, Any]]:
    turns = [person.says(messages[0]).get_json()]
    for message in messages[1:]:
        turns.append(person.says(message, conversation_id=turns[0]["conversation_id"]).get_json())
    return turns


def turns_of(person: Person, conversation_id: str) -> list[dict[str, Any]]:
    return person.history(f"?conversation_id={conversation_id}")


def without_ids(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in turn.items() if name not in NEW} for turn in turns]


def test_fork_has_copies_of_all_turns(ada: Person) -> None:
    turns = talk(ada, "one", "two", "three")
    source_id = turns[0]["conversation_id"]
    settings = {"tags": ["b", "a"], "instructions": "Be short.", "title": "Mine", "pinned": True}
    ada.call("PATCH", f"/api/conversations/{source_id}/", settings)
    forked = fork(ada, source_id)
    assert (forked["title"], forked["title_source"], forked["tags"]) == ("Mine", "user", ["b", "a"])
    assert (forked["instructions"], forked["pinned"], forked["external_id"]) == ("Be short.", True, None)
    assert (forked["forked_from"], forked["turns"], forked["unread"]) == (source_id, 3, False)
    copies = turns_of(ada, forked["id"])
    assert without_ids(copies) == without_ids(turns)
    assert {one["id"] for one in copies}.isdisjoint(one["id"] for one in turns)
    assert forked["read_turn_id"] == copies[-1]["id"]
    assert ada.call("GET", "/api/conversations/").get_json()["items"][0] == forked


def test_each_goes_on_by_itself(ada: Person, llm: MemoryLLM) -> None:
    first, second = talk(ada, "one", "two")
    forked = fork(ada, first["conversation_id"], turn_id=first["id"])
    ada.says("another", conversation_id=forked["id"])
    assert [message.content for message in llm.prompts[-1]][-3:] == ["one", "one", "another"]
    assert [one["user_message"] for one in turns_of(ada, forked["id"])] == ["one", "another"]
    ada.call("DELETE", f"/api/conversations/{first['conversation_id']}/")
    assert [one["user_message"] for one in turns_of(ada, forked["id"])] == ["one", "another"]
    assert ada.call("GET", f"/api/chat/{second['id']}/").status_code == 404


def test_replaced_answers_are_copied_where_the_fork_ends_with_them(ada: Person, llm: MemoryLLM) -> None:
    llm.says("first")
    turn = ada.says("hello").get_json()
    llm.says("second")
    again = ada.call("POST", f"/api/chat/{turn['id']}/regenerate/").get_json()
    for turn_id, answer in ((turn["id"], "first"), (again["id"], "second"), (None, "second")):
        body = {} if turn_id is None else {"turn_id": turn_id}
        (copy,) = turns_of(ada, fork(ada, turn["conversation_id"], **body)["id"])
        assert (copy["bot_response"], copy["siblings"]) == (answer, [])


def test_running_turn_is_left_out(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "begins", "ends")
    turn = running(ada)
    forked = fork(ada, turn["conversation_id"])
    assert (forked["turns"], turns_of(ada, forked["id"])) == (0, [])
    gate.set()
    ended(ada, turn["id"])


def test_turns_of_others_and_of_other_conversations_are_404(ada: Person, eve: Person) -> None:
    (turn,) = talk(ada, "one")
    (other,) = talk(ada, "elsewhere")
    (foreign,) = talk(eve, "foreign")
    path = f"/api/conversations/{turn['conversation_id']}/fork/"
    for turn_id in (other["id"], foreign["id"], str(uuid4())):
        assert ada.call("POST", path, {"turn_id": turn_id}).status_code == 404
    assert eve.call("POST", path, {}).status_code == 404
    response = ada.call("POST", path, {"turn_id": "no"})
    assert (response.status_code, list(response.get_json()["errors"])) == (400, ["turn_id"])
    assert len(ada.call("GET", "/api/conversations/").get_json()["items"]) == 2


def test_key_makes_one_fork(app: Flask, ada: Person) -> None:
    (turn,) = talk(ada, "one")
    path = f"/api/conversations/{turn['conversation_id']}/fork/"
    headers = {"Idempotency-Key": "one"}
    made = []

    def send() -> None:
        person = Person(app.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
        response = person.call("POST", path, {}, headers=headers)
        made.append((response.status_code, response.get_json()["id"]))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(made)) == 1
    assert ada.call("POST", path, {"turn_id": turn["id"]}, headers=headers).status_code == 422
    assert len(ada.call("GET", "/api/conversations/").get_json()["items"]) == 2


def test_long_fork_is_copied_in_batches_and_shown_as_a_whole(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = talk(ada, *map(str, range(7)))
    monkeypatch.setattr(forks, "BATCH", 3)
    seen = []

    def look(step: str) -> None:
        if step in {"copy_turns:committed", "show_fork:written"}:
            listed = ada.call("GET", "/api/conversations/").get_json()["items"]
            seen.append((len(listed), len(ada.history())))

    monkeypatch.setattr(failpoints, "reach", look)
    forked = fork(ada, turns[0]["conversation_id"])
    assert seen[:3] == [(1, 7)] * 3
    monkeypatch.undo()
    assert [one["user_message"] for one in turns_of(ada, forked["id"])] == list(map(str, range(7)))
    with read() as connection:
        query = sa.select(SyncChange.object_id, SyncChange.position).where(SyncChange.user_id == UUID(ada.id))
        changed = connection.execute(query.order_by(SyncChange.position)).all()
        counter = connection.scalar(sa.select(SyncCounter.position).where(SyncCounter.user_id == UUID(ada.id)))
    new = [UUID(one["id"]) for one in turns_of(ada, forked["id"])]
    assert [row.object_id for row in changed][-8:] == [*new, UUID(forked["id"])]
    assert changed[-1].position == counter


def test_each_statement_that_shows_a_fork_changes_few_turns(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = talk(ada, *map(str, range(7)))
    monkeypatch.setattr(forks, "SHOWN", 3)
    changed: dict[str, list[int]] = {"UPDATE chat_messages": [], "INSERT INTO sync_changes": []}

    def count(_: object, cursor: Any, statement: str, *__: object) -> None:
        for start, counts in changed.items():
            if statement.startswith(start):
                counts.append(cursor.rowcount)

    sa.event.listen(db.engine, "after_cursor_execute", count)
    try:
        fork(ada, turns[0]["conversation_id"])
    finally:
        sa.event.remove(db.engine, "after_cursor_execute", count)
    assert changed == {"UPDATE chat_messages": [3, 3, 1], "INSERT INTO sync_changes": [3, 3, 1, 1]}


def test_fork_that_fails_leaves_nothing(context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    (turn,) = talk(ada, "one")

    def fail(step: str) -> None:
        if step == "show_fork:written":
            raise RuntimeError("as a crash")

    monkeypatch.setattr(failpoints, "reach", fail)
    monkeypatch.setitem(context.config, "PROPAGATE_EXCEPTIONS", False)
    assert ada.call("POST", f"/api/conversations/{turn['conversation_id']}/fork/", {}).status_code == 500
    monkeypatch.undo()
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 1
        assert connection.scalar(sa.select(sa.func.count()).select_from(ChatMessage)) == 1


def test_forks_of_a_user_are_made_one_at_a_time(make_app: MakeApp) -> None:
    app = make_app(RATELIMIT_ENABLED="true")
    ada = join(app.test_client(), "ada")
    eve = join(app.test_client(), "eve")
    path = f"/api/conversations/{talk(ada, 'one')[0]['conversation_id']}/fork/"
    places = app.extensions[admission.KEY].forks
    assert places.acquire(UUID(ada.id), 0)
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(ada.call("POST", path, {}).status_code))
    waiting.start()
    wait_for(lambda: places.waiting_count == 1)
    assert statuses == []
    fork(eve, talk(eve, "one")[0]["conversation_id"])
    places.release(UUID(ada.id))
    waiting.join(30)
    assert statuses == [201]
    assert places.acquire(UUID(ada.id), 0)


def test_all_columns_that_are_copied_are_measured(context: Flask, ada: Person) -> None:
    turn = UUID(ada.says("one").get_json()["id"])
    before = measure(ada, turn)
    with write("test") as connection:
        values = {"bot_response": "\u6f22" * 1_000, "extras": {"logprobs": "x" * 5_000}}
        connection.execute(sa.update(ChatMessage).where(ChatMessage.id == turn).values(values))
    assert 7_500 < measure(ada, turn) - before < 8_500


def measure(who: Person, turn_id: UUID) -> int:
    """Return the bytes of which a fork at a turn tells before it copies."""
    told: list[int] = []
    caller = Caller(UUID(who.id), UUID(int=0), "user")
    home = UUID(who.call("GET", f"/api/chat/{turn_id}/").get_json()["conversation_id"])
    forks.fork(caller, home, turn_id, charge=told.append)
    return told[0]


def test_bytes_of_a_users_forks_in_a_day_are_bounded(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(RATELIMIT_ENABLED="true", RATE_FORK_USER="3 per day")
    ada = join(app.test_client(), "ada")
    path = f"/api/conversations/{talk(ada, 'one', 'two')[0]['conversation_id']}/fork/"
    monkeypatch.setattr(api, "CHARGED_BYTES", forks.ROW_BYTES + 500)  # the two turns have more, and count as two forks
    headers = {"Idempotency-Key": "one"}
    for _ in range(3):  # of which the first alone counts
        assert ada.call("POST", path, {}, headers=headers).status_code == 201
    refused = ada.call("POST", path, {})
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 3600
    assert len(ada.call("GET", "/api/conversations/").get_json()["items"]) == 2
    with app.app_context(), read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Conversation)) == 2
    eve = join(app.test_client(), "eve")
    fork(eve, talk(eve, "one")[0]["conversation_id"])
