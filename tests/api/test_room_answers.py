"""The bot's answers in rooms: one after the other, growing, and their ends."""

import threading
from typing import Any

import pytest
from flask import Flask

from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.rooms.bot import queue
from tests.api.test_room_bot import QUESTION, library, room, share
from tests.api.test_rooms import add, get_code, remove
from tests.conftest import Person, join
from tests.support.processes import events
from tests.support.room_bot import ask, find_answer, post, wait_for_answer, wait_for_text
from tests.support.turns import gated
from tests.support.waiting import wait_for

__all__ = ["library", "room"]  # fixtures
pytestmark = pytest.mark.both_databases


def hold_answer(llm: MemoryLLM, person: Person, room: dict[str, Any]) -> tuple[dict[str, Any], threading.Event]:
    """Ask a question and wait until its answer has begun; return it, and the event that lets the answer end."""
    gate = gated(llm, "One", " done")
    question = post(person, room, "@bot 0")
    wait_for_text(person, room, question)
    return question, gate


def test_one_answer_is_written_at_a_time_and_eight_questions_wait(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    first, gate = hold_answer(llm, ada, room)
    waiting = [post((ada, eve)[number % 2], room, f"@bot {number}") for number in range(1, 9)]
    busy = ada.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "@bot 9"})
    assert (*get_code(busy), busy.headers["Retry-After"]) == (429, "bot_busy", "5")
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"bot": "always"})
    assert find_answer(ada, room, post(ada, room, "Talk goes on")) == {}
    states = [find_answer(ada, room, one)["status"] for one in (first, *waiting)]
    assert states == ["pending"] + ["queued"] * 8
    gate.set()
    answers = [wait_for_answer(ada, room, one) for one in (first, *waiting)]
    assert [one["status"] for one in answers] == ["completed"] * 9
    assert [one["rev"] for one in answers] == sorted(one["rev"] for one in answers)


def test_questions_that_wait_are_not_answered_when_the_bot_is_taken_out(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    first, gate = hold_answer(llm, ada, room)
    waiting = post(eve, room, "@bot 1")
    ada.call("PATCH", f"/api/rooms/{room['id']}/", {"bot": "off"})
    gate.set()
    assert [wait_for_answer(ada, room, one)["status"] for one in (first, waiting)] == ["completed", "cancelled"]


def test_answer_is_ended_by_its_asker_and_by_owners(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    bob = join(ada.client, "bob")
    add(ada, room, bob)
    for ending in (eve, ada):
        gated(llm, "Begun", " never")
        question = post(eve, room, "@bot Hello")
        answer = wait_for_text(eve, room, question)
        waiting = post(eve, room, "@bot Later")
        path = f"/api/rooms/{room['id']}/messages/"
        assert get_code(bob.call("POST", f"{path}{answer['id']}/cancel/")) == (403, "forbidden")
        queued = find_answer(eve, room, waiting)
        assert ending.call("POST", f"{path}{queued['id']}/cancel/").status_code == 202
        assert find_answer(eve, room, waiting)["status"] == "cancelled"
        assert ending.call("POST", f"{path}{answer['id']}/cancel/").status_code == 202
        ended = wait_for_answer(bob, room, question)
        assert (ended["status"], ended["text"]) == ("cancelled", "Begun")
        assert get_code(ending.call("POST", f"{path}{answer['id']}/cancel/")) == (409, "not_running")
        assert get_code(ending.call("POST", f"{path}{question['id']}/cancel/")) == (409, "not_running")


def test_answer_ends_when_a_member_may_not_read_its_sources_any_more(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    share(ada, library)
    gate = gated(llm, "The library ", "is open from nine to five.")
    question = post(ada, room, f"@bot {QUESTION}")
    wait_for_text(eve, room, question)
    assert find_answer(eve, room, question)["audience"]["collections"] == [library]
    share(ada, library, "private")
    gate.set()
    answer = wait_for_answer(ada, room, question)
    assert (answer["status"], answer["error"]["code"]) == ("failed", "audience_changed")
    assert "nine" not in answer["text"]
    assert find_answer(eve, room, question)["status"] == "withheld"


def test_deleted_answer_is_written_no_further(ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]) -> None:
    gate = gated(llm, "Begun", " never")
    question = post(eve, room, "@bot Hello")
    answer = wait_for_text(eve, room, question)
    path = f"/api/rooms/{room['id']}/messages/{answer['id']}/"
    assert get_code(eve.call("PATCH", path, {"text": "mine"})) == (403, "forbidden")
    assert ada.call("DELETE", path).status_code == 204
    turn = wait_for(lambda: found if (found := read_turn(eve, answer))["status"] == "cancelled" else {}, 20)
    assert turn["bot_response"] == "Begun"
    gate.set()
    deleted = find_answer(ada, room, question)
    assert (deleted["deleted"], deleted["text"], deleted["status"]) == (True, "", "cancelled")
    assert ask(eve, room, "@bot Again")["status"] == "completed"


def test_question_of_a_member_who_left_is_not_answered(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    gate = gated(llm, "One", " done")
    wait_for_text(ada, room, post(ada, room, "@bot first"))
    question = post(eve, room, "@bot second")
    last = post(ada, room, "@bot third")
    remove(ada, room, eve)
    gate.set()
    assert wait_for_answer(ada, room, last)["status"] == "completed"
    assert find_answer(ada, room, question)["status"] == "cancelled"
    assert not any(prompt[-1].content.endswith("second") for prompt in llm.prompts)


def test_what_ended_without_its_process_is_stored_by_the_job(
    app: Flask, ada: Person, llm: MemoryLLM, room: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "start_soon", lambda _: None)  # as where the process ends after the commit
    question = post(ada, room, "@bot Hello")
    assert find_answer(ada, room, question)["status"] == "queued"
    with app.app_context():
        queue.start_waiting()
    assert wait_for_answer(ada, room, question)["status"] == "completed"


def test_one_member_leaves_places_for_others(ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]) -> None:
    gate = gated(llm, "One", " done")
    wait_for_text(eve, room, post(eve, room, "@bot 0"))
    for number in range(4):
        post(eve, room, f"@bot! {number}")
    busy = eve.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": "@bot 5"})
    assert get_code(busy) == (429, "bot_busy")
    question = post(ada, room, "@bot mine")
    gate.set()
    assert wait_for_answer(ada, room, question)["status"] == "completed"


def test_answer_ends_with_the_membership_of_its_asker(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    share(ada, library)
    gate = gated(llm, "The library ", "is open from nine to five.")
    question = post(eve, room, f"@bot {QUESTION}")
    answer = wait_for_text(eve, room, question)
    remove(ada, room, eve)
    gate.set()
    ended = wait_for_answer(ada, room, question)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "audience_changed")
    assert "nine" not in read_turn(eve, answer)["bot_response"]


def test_private_answer_ends_with_the_right_to_its_sources(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    ada.call("PUT", f"/api/collections/{library}/members/{eve.id}/", {"role": "reader"})
    assert eve.call("POST", f"/api/invitations/{library}/accept/").status_code == 200
    gate = gated(llm, "The library ", "is open from nine to five.")
    question = post(eve, room, f"@bot! {QUESTION}")
    answer = wait_for_text(eve, room, question)
    ada.call("DELETE", f"/api/collections/{library}/members/{eve.id}/")
    gate.set()
    assert wait_for_answer(eve, room, question)["status"] == "withheld"
    wait_for(lambda: read_turn(eve, answer)["status"] == "failed", 20)
    assert "nine" not in read_turn(eve, answer)["bot_response"]


def test_nobody_goes_on_with_the_conversation_of_an_answer(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    post(ada, room, "Ada's canary")
    answer = ask(eve, room, "@bot Hello")
    conversation_id = eve.call("GET", f"/api/chat/{answer['turn_id']}/").get_json()["conversation_id"]
    assert get_code(eve.says("Go on", conversation_id=conversation_id)) == (404, "not_found")
    assert eve.history() == []


def test_owner_deletes_an_answer_that_is_withheld_from_them(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any], library: str
) -> None:
    share(ada, library)
    llm.says("The library is open from nine to five on weekdays [1].")
    answer = ask(ada, room, f"@bot {QUESTION}")
    ada.call("PUT", f"/api/rooms/{room['id']}/members/{eve.id}/", {"role": "owner"})
    share(ada, library, "private")
    assert eve.call("DELETE", f"/api/rooms/{room['id']}/messages/{answer['id']}/").status_code == 204
    deleted = find_answer(ada, room, {"id": answer["reply_to"]})
    assert (deleted["status"], deleted["deleted"], deleted["text"]) == ("completed", True, "")


def test_readers_of_a_stream_hear_the_answer_grow(
    ada: Person, eve: Person, llm: MemoryLLM, room: dict[str, Any]
) -> None:
    stream = eve.call("GET", f"/api/rooms/{room['id']}/events/", buffered=False)
    frames = iter(stream.response)
    gate = gated(llm, "Oars", " too.")
    question = post(ada, room, "@bot What else?")
    private = post(ada, room, "@bot! And in private?")
    wait_for_text(ada, room, question)
    threading.Timer(0.5, gate.set).start()
    text = ""
    while "bot_done" not in text:
        text += next(frames).decode()
    stream.close()
    wait_for_answer(ada, room, private)
    found = [(name, data) for _, name, data in events(text)]
    names = [name for name, _ in found]
    assert names[0] == "message"
    assert {one for one in names[1:] if one != "changed"} <= {"message", "bot_delta", "bot_done"}
    deltas = [data for name, data in found if name == "bot_delta"]
    assert (deltas[0]["offset"], deltas[0]["text"]) == (0, "Oars")
    done = found[-1][1]["message"]
    assert (done["text"], done["status"], done["reply_to"]) == ("Oars too.", "completed", question["id"])
    assert "private" not in text


def read_turn(person: Person, answer: dict[str, Any]) -> dict[str, Any]:
    turn: dict[str, Any] = person.call("GET", f"/api/chat/{answer['turn_id']}/").get_json()
    return turn
