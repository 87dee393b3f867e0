"""Other answers to the same message: regenerating, retrying under a key, and feedback."""

import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, Feedback, IdempotencyKey
from chatbot.rag.errors import UpstreamBusy, UpstreamRefused
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services import idempotency
from chatbot.services.chat import execution, maintenance, turns
from chatbot.services.chat.state import get_chat_state
from chatbot.web import idempotency as idempotency_door
from tests.conftest import MakeApp, Person, join
from tests.support.turns import ended, events, gated, running, text

pytestmark = pytest.mark.both_databases


def post(person: Person, key: str, message: str = "Hi", path: str = "/api/chat/", **fields: Any) -> TestResponse:
    body = fields if "regenerate" in path else {"message": message, **fields}
    return person.call("POST", path, body, headers={"Idempotency-Key": key})


def test_regenerated_turn_takes_the_place_of_the_old_one(ada: Person, llm: MemoryLLM) -> None:
    llm.says("first")
    old = ada.says("Hi").get_json()
    llm.says("second")
    new = ada.call("POST", f"/api/chat/{old['id']}/regenerate/", {}).get_json()
    assert (new["user_message"], new["bot_response"], new["siblings"]) == ("Hi", "second", [old["id"]])
    assert new["conversation_id"] == old["conversation_id"]
    assert ada.history() == [new]
    assert ada.call("GET", f"/api/chat/{old['id']}/").get_json() == {**old, "siblings": [new["id"]]}
    third = ada.call("POST", f"/api/chat/{new['id']}/regenerate/", {"stream": True})
    last = events(third)[-1][2]
    assert last["siblings"] == [old["id"], new["id"]]
    assert [turn["id"] for turn in ada.history()] == [last["id"]]


def test_answers_to_one_message_are_bounded(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_SIBLINGS", 3)
    turn = ada.says("Hi").get_json()
    for _ in range(2):
        turn = ada.call("POST", f"/api/chat/{turn['id']}/regenerate/", {}).get_json()
    refused = ada.call("POST", f"/api/chat/{turn['id']}/regenerate/", {})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_siblings")
    assert ada.history() == [turn]  # it is the active one still
    assert ada.says("Again", conversation_id=turn["conversation_id"]).status_code == 200


def test_prompt_of_a_regenerated_turn_has_not_its_own_old_answer(ada: Person, llm: MemoryLLM) -> None:
    first = ada.says("One").get_json()
    second = ada.says("Two", conversation_id=first["conversation_id"]).get_json()
    ada.call("POST", f"/api/chat/{second['id']}/regenerate/", {})
    assert [(m.role, m.content) for m in llm.prompts[-1][1:]] == [
        ("user", "One"),
        ("assistant", "One"),
        ("user", "Two"),
    ]


def test_only_the_last_turn_can_be_regenerated(ada: Person) -> None:
    first = ada.says("One").get_json()
    second = ada.says("Two", conversation_id=first["conversation_id"]).get_json()
    third = ada.call("POST", f"/api/chat/{second['id']}/regenerate/", {}).get_json()
    for turn in (first, second):  # gone by, and replaced
        response = ada.call("POST", f"/api/chat/{turn['id']}/regenerate/", {})
        assert (response.status_code, response.get_json()["code"]) == (409, "not_the_last_turn")
    assert [turn["id"] for turn in ada.history()] == [first["id"], third["id"]]


def test_regenerating_somebody_elses_turn_is_404(ada: Person, eve: Person) -> None:
    turn = ada.says("One").get_json()
    for turn_id in (turn["id"], uuid4()):
        assert eve.call("POST", f"/api/chat/{turn_id}/regenerate/", {}).status_code == 404
    assert ada.history() == [turn]


def test_same_key_and_body_get_the_same_turn_with_one_call_of_the_model(ada: Person, llm: MemoryLLM) -> None:
    llm.says("once")
    first = post(ada, "k").get_json()
    for _ in range(3):
        assert post(ada, "k").get_json() == first
    streamed = events(post(ada, "k", stream=True))
    assert text(streamed) == "once"
    assert streamed[-1][2] == first
    by_header = ada.call(
        "POST", "/api/chat/", {"message": "Hi"}, headers={"Idempotency-Key": "k", "Accept": "text/event-stream"}
    )
    assert events(by_header)[-1][2] == first
    later = ada.call(
        "POST", "/api/chat/", {"message": "Hi"}, headers={"Idempotency-Key": "k", "Prefer": "respond-async"}
    )
    assert (later.status_code, later.get_json()) == (202, first)
    assert len(llm.prompts) == 1
    assert ada.history() == [first]


def test_another_body_is_422_and_another_user_has_keys_of_his_own(ada: Person, eve: Person) -> None:
    first = post(ada, "k").get_json()
    for response in (post(ada, "k", "Ho"), post(ada, "k", conversation_id=first["conversation_id"])):
        assert (response.status_code, response.get_json()["code"]) == (422, "idempotency_key_reused")
    assert post(eve, "k").get_json()["id"] != first["id"]
    assert post(ada, "K").get_json()["id"] != first["id"]
    assert len(ada.history()) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "\x7f", "ü"])
def test_key_is_printable_and_short(ada: Person, key: str) -> None:
    response = post(ada, key)
    assert (response.status_code, list(response.get_json()["errors"])) == (400, ["Idempotency-Key"])
    said = idempotency_door.DOCUMENT["schema"]
    assert not (len(key) <= said["maxLength"] and re.fullmatch(said["pattern"], key)), "the API document allows it"
    assert ada.history() == []


def test_a_hundred_tries_at_once_are_one_turn(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " answer")
    threading.Timer(0.5, gate.set).start()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda n: post(ada, "k", stream=bool(n % 2)), range(100)))
    assert {response.status_code for response in found} == {200}
    assert {events(r)[-1][2]["id"] if n % 2 else r.get_json()["id"] for n, r in enumerate(found)} == {
        ada.history()[0]["id"]
    }
    assert len(llm.prompts) == 1
    assert len(ada.history()) == 1


def test_final_failure_is_told_again_and_a_retryable_one_is_tried_again(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamRefused())
    first = post(ada, "final")
    again = post(ada, "final")
    assert first.status_code == again.status_code == 502
    assert first.get_json()["instance"] == again.get_json()["instance"]
    assert len(llm.prompts) == 1
    llm.fails(UpstreamBusy())
    llm.says("now")
    failed = post(ada, "k")
    answered = post(ada, "k")
    assert (failed.status_code, answered.status_code) == (503, 200)
    turn = answered.get_json()
    assert turn["siblings"] == [failed.get_json()["instance"].split("/")[3]]
    assert post(ada, "k").get_json() == turn
    assert [t["id"] for t in ada.history()][1:] == [turn["id"]]


def test_retry_after_a_crash_joins_then_opens_one_sibling(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "never", " ended")
    turn = ada.call(
        "POST", "/api/chat/", {"message": "Hi"}, headers={"Idempotency-Key": "k", "Prefer": "respond-async"}
    ).get_json()
    with app.app_context():
        mine = get_chat_state().running_turns
        one = mine.pop(UUID(turn["id"]))  # as if the process had died
        get_chat_state().turn_log.close(one.turn.id)
        with write("test") as connection:
            connection.execute(db.update(ChatMessage).values(lease_expires_at=now() - timedelta(seconds=1)))
        reaper = threading.Timer(0.2, lambda: upkeep_in(app))
        reaper.start()
    joined = post(ada, "k")
    reaper.join()
    assert (joined.status_code, joined.get_json()["code"]) == (503, "interrupted")
    sibling = post(ada, "k").get_json()
    assert (sibling["status"], sibling["siblings"]) == ("completed", [turn["id"]])
    gate.set()
    assert ended(ada, turn["id"])["status"] == "interrupted"
    assert [t["id"] for t in ada.history()] == [sibling["id"]]
    while one.text.ended is None:  # nobody else waits for a runner that nobody knows
        one.text.wait(sys.maxsize, 1)


def upkeep_in(app: Flask) -> None:
    with app.app_context():
        maintenance.close_abandoned()


def test_retry_after_the_conversation_went_on_is_409(ada: Person, llm: MemoryLLM) -> None:
    first = ada.says("One").get_json()
    llm.fails(UpstreamBusy())
    post(ada, "k", "Two", conversation_id=first["conversation_id"])
    ada.says("Three", conversation_id=first["conversation_id"])
    response = post(ada, "k", "Two", conversation_id=first["conversation_id"])
    assert (response.status_code, response.get_json()["code"]) == (409, "not_the_last_turn")


def test_key_of_a_regenerated_turn(ada: Person, llm: MemoryLLM) -> None:
    old = ada.says("Hi").get_json()
    path = f"/api/chat/{old['id']}/regenerate/"
    first = post(ada, "k", path=path)
    again = post(ada, "k", path=path, stream=True)
    assert events(again)[-1][2] == first.get_json()
    assert post(ada, "k").get_json()["id"] != first.get_json()["id"]  # of another route
    assert len(ada.history()) == 2


def test_key_is_forgotten_after_a_day(context: Flask, ada: Person) -> None:
    first = post(ada, "k").get_json()
    with write("test") as connection:
        connection.execute(db.update(IdempotencyKey).values(created_at=now() - idempotency.LIFETIME))
    assert post(ada, "k", "Something else").get_json()["id"] != first["id"]


def test_refused_body_uses_no_key(ada: Person) -> None:
    assert post(ada, "k", "").status_code == 400
    assert post(ada, "k", conversation_id=str(uuid4())).status_code == 404
    assert post(ada, "k").status_code == 200


def test_busy_conversation_uses_no_key(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two")
    turn = running(ada)
    body = {"conversation_id": turn["conversation_id"]}
    assert post(ada, "k", **body).get_json()["code"] == "conversation_busy"
    gate.set()
    ended(ada, turn["id"])
    assert post(ada, "k", **body).status_code == 200


def test_feedback_is_kept_and_replaced(context: Flask, ada: Person, eve: Person) -> None:
    turn = ada.says("Hi").get_json()
    path = f"/api/chat/{turn['id']}/feedback/"
    for opinion in ({"rating": 1}, {"rating": -1, "comment": "No."}):
        response = ada.call("PUT", path, opinion)
        assert (response.status_code, response.get_data()) == (204, b"")
    for person, identity in ((eve, turn["id"]), (ada, str(uuid4()))):
        assert person.call("PUT", f"/api/chat/{identity}/feedback/", {"rating": 1}).status_code == 404
    with read() as connection:
        row = connection.execute(db.select(Feedback.__table__)).one()
    assert (str(row.turn_id), row.rating, row.comment) == (turn["id"], -1, "No.")


@pytest.mark.parametrize("opinion", [{}, {"rating": 0}, {"rating": 2}, {"rating": "1"}, {"rating": 1.0, "comment": ""},
                                     {"rating": 1, "comment": "x" * 4001}, {"rating": 1, "user_id": 1}, {"rating": True}])  # fmt: skip
def test_feedback_is_checked(ada: Person, opinion: dict[str, Any]) -> None:
    turn = ada.says("Hi").get_json()
    assert ada.call("PUT", f"/api/chat/{turn['id']}/feedback/", opinion).status_code == 400


def test_two_regenerations_at_once_under_one_key_are_one_turn(ada: Person, llm: MemoryLLM) -> None:
    path = f"/api/chat/{ada.says('Hi').get_json()['id']}/regenerate/"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: post(ada, "k", path=path), range(8)))
    assert [response.status_code for response in found] == [200] * 8
    assert len({response.get_json()["id"] for response in found}) == 1
    assert len(llm.prompts) == 2


def test_known_key_needs_no_slot(make_app: MakeApp) -> None:
    app = make_app(TURN_SLOTS="1")
    person = join(app.test_client(), "ada")
    first = post(person, "k").get_json()
    with app.app_context():
        llm = get_chat_state().llm().models[0]
        gate = gated(llm, "one", " two")
        turn = running(person)
        assert post(person, "k").get_json() == first
        assert post(person, "new").get_json()["code"] == "busy"
        assert post(person, "k", "Something else").get_json()["code"] == "idempotency_key_reused"
        gate.set()
        ended(person, turn["id"])
        execution.drain(0)
    assert post(person, "k").get_json() == first
