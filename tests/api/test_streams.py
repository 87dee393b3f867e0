"""A turn's events: streaming, resuming from every offset, and the habits of phones."""

import threading
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.database.base import db
from chatbot.database.transactions import write
from chatbot.models import ChatMessage, TurnLogPiece
from chatbot.rag.errors import UpstreamBusy, UpstreamIncomplete
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.rag.output_filter.answer_filter import AnswerFilter
from chatbot.services.chat import execution, following, maintenance
from chatbot.services.chat.state import get_chat_state
from chatbot.web import sse
from tests.conftest import Person
from tests.support import processes
from tests.support.processes import Event
from tests.support.processes import events as events_of
from tests.support.turns import ended, events, gated, later, resumed, running, text, wait_for_text
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

STREAM = {"Accept": "text/event-stream"}


@pytest.mark.parametrize(
    "asked", [{"json": {"message": "Hi", "stream": True}}, {"json": {"message": "Hi"}, "headers": STREAM}]
)
def test_answer_is_streamed(ada: Person, llm: MemoryLLM, asked: dict[str, Any]) -> None:
    llm.says("Grüße", " \N{GRINNING FACE}", "\nevent: done\ndata: {}\n\n")
    headers = {"Authorization": f"Bearer {ada.access_token}", **asked.get("headers", {})}
    response = ada.client.post("/api/chat/", json=asked["json"], headers=headers)
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    assert response.headers["Cache-Control"] == "no-store, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    found = events(response)
    assert [name for _, name, _ in found if name != "delta"] == ["turn", "done"]
    assert found[0][0] == 0
    assert found[0][2]["status"] == "pending"
    turn = found[-1][2]
    assert turn["bot_response"] == text(found) == "Grüße \N{GRINNING FACE}\nevent: done\ndata: {}\n\n"
    assert found[-1][0] == len(turn["bot_response"])
    position = 0
    for number, name, data in found:
        if name == "delta":
            assert data["offset"] == position
            position += len(data["text"])
            assert number == position
    assert ada.call("GET", f"/api/chat/{turn['id']}/").get_json() == turn


def test_json_wins_where_both_are_accepted_alike(ada: Person) -> None:
    for accept in ("*/*", "application/json, text/event-stream", "text/html"):
        assert ada.says("Hi", headers={"Accept": accept}).status_code in {200, 400}
    headers = {"Accept": "application/json;q=0.5, text/event-stream"}
    assert ada.call("POST", "/api/chat/", {"message": "Hi"}, headers=headers).mimetype == "text/event-stream"


@pytest.mark.parametrize("value", ["yes", 1, "true", None])
def test_stream_is_true_or_false(ada: Person, value: object) -> None:
    assert ada.says("Hi", stream=value).status_code == 400


def test_failure_before_the_first_text_is_a_status(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamBusy("later", retry_after=7))
    response = ada.says("Hi", stream=True)
    problem = response.get_json()
    assert (response.status_code, problem["code"], response.headers["Retry-After"]) == (503, "upstream_busy", "7")
    assert response.mimetype == "application/problem+json"
    assert ended(ada, problem["instance"].split("/")[3])["status"] == "failed"


def test_failure_after_it_is_an_event_and_the_text_stays(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamIncomplete(), "Half", " an")
    found = events(ada.says("Hi", stream=True))
    number, name, problem = found[-1]
    assert (number, name, problem["code"], problem["status"]) == (7, "error", "upstream_incomplete", 502)
    assert text(found) == "Half an"
    turn = ada.call("GET", problem["instance"]).get_json()
    assert (turn["status"], turn["bot_response"]) == ("failed", "Half an")


def test_slow_beginning_is_bridged_by_heartbeats(ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "FIRST_TEXT_SECONDS", 0.01)
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.05)
    later(0.4, gated(llm, "late"))
    body = ada.says("Hi", stream=True).get_data()
    assert body.startswith(b"id: 0\nevent: turn\n")
    assert body.index(sse.HEARTBEAT) < body.index(b"event: delta")
    assert 3 <= body.count(sse.HEARTBEAT) <= 12


def test_turn_runs_on_when_nobody_waits(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "one", " two", " three")
    turn = running(ada)
    seen = wait_for_text(ada, turn["id"], "one two")
    assert seen["status"] == "streaming"
    gate.set()
    assert ended(ada, turn["id"])["bot_response"] == "one two three"


def test_async_answer_has_its_place(ada: Person) -> None:
    response = ada.call("POST", "/api/chat/", {"message": "Hi"}, headers={"Prefer": "respond-async, wait=1"})
    turn = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/chat/{turn['id']}/"
    assert response.headers["Preference-Applied"] == "respond-async"
    assert (turn["status"], turn["bot_response"]) == ("pending", "")
    assert ended(ada, turn["id"])["status"] == "completed"


def test_ended_turn_is_resumed_from_every_offset(ada: Person, llm: MemoryLLM) -> None:
    llm.says("Grü", "ße ", "\N{GRINNING FACE}!")
    turn = ada.says("Hi").get_json()
    whole = turn["bot_response"]
    for offset in range(len(whole) + 1):
        found = resumed(ada, turn["id"], offset)
        assert text(found) == whole[offset:]
        assert found[-1][:2] == (len(whole), "done")
        assert found[-1][2] == turn
    assert [name for _, name, _ in resumed(ada, turn["id"], None)] == ["turn", "delta", "done"]
    assert [name for _, name, _ in resumed(ada, turn["id"], len(whole) + 100)] == ["done"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_no_line_ends_in_the_middle_of_an_event(ada: Person, llm: MemoryLLM, separator: str) -> None:
    llm.says(f"one{separator}two")
    response = ada.says("Hi", stream=True)
    assert separator not in response.get_data(as_text=True)
    assert text(events(response)) == f"one{separator}two"
    asked = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": f"a{separator}b"}], "stream": True}
    assert separator not in ada.call("POST", "/v1/chat/completions", asked).get_data(as_text=True)


@pytest.mark.parametrize("fails", [False, True])
def test_reader_that_has_seen_the_end_is_sent_away(ada: Person, llm: MemoryLLM, fails: bool) -> None:
    if fails:
        llm.fails(UpstreamIncomplete(), "Half")
    else:
        llm.says("Half")
    body = ada.says("Hi", stream=True).get_data(as_text=True)
    turn_id = events_of(body)[0][2]["id"]
    last = body.rstrip().rsplit("id: ", 1)[1].split("\n")[0]
    assert last == "4-end"
    response = ada.call("GET", f"/api/chat/{turn_id}/events/", headers={"Last-Event-ID": last})
    assert (response.status_code, response.get_data()) == (204, b"")
    assert resumed(ada, turn_id, 4)[-1][1] == ("error" if fails else "done")


@pytest.mark.parametrize("keyed", [False, True])
def test_repeated_post_goes_on_with_its_turn(ada: Person, llm: MemoryLLM, keyed: bool) -> None:
    llm.says("Grü", "ße!")
    headers = {**STREAM, **({"Idempotency-Key": "one"} if keyed else {})}
    first = events(ada.call("POST", "/api/chat/", {"message": "Hi"}, headers=headers))
    again = ada.call("POST", "/api/chat/", {"message": "Hi"}, headers={**headers, "Last-Event-ID": "3"})
    found = events(again)
    assert (text(found), [name for _, name, _ in found]) == ("ße!", ["delta", "done"])
    assert found[-1][2] == first[-1][2]
    over = ada.call("POST", "/api/chat/", {"message": "Hi"}, headers={**headers, "Last-Event-ID": "6-end"})
    assert over.status_code == 204
    assert len(ada.history()) == len(llm.prompts) == 1


@pytest.mark.parametrize("is_ended", [False, True])
def test_repeated_regeneration_goes_on_with_its_sibling(ada: Person, llm: MemoryLLM, is_ended: bool) -> None:
    old = ada.says("Hi").get_json()["id"]
    path = f"/api/chat/{old}/regenerate/"
    gate = gated(llm, "Grü", "ße!")
    sibling = ada.call("POST", path, {}, headers={"Prefer": "respond-async"}).get_json()["id"]
    if is_ended:
        gate.set()
        ended(ada, sibling)
    else:
        threading.Timer(0.2, gate.set).start()
    found = events(ada.call("POST", path, {}, headers={**STREAM, "Last-Event-ID": "3"}))
    assert (text(found), found[-1][1], found[-1][2]["id"]) == ("ße!", "done", sibling)
    assert ada.call("POST", path, {}, headers={**STREAM, "Last-Event-ID": "6-end"}).status_code == 204
    assert ada.call("POST", path, {}, headers=STREAM).get_json()["code"] == "not_the_last_turn"


def test_post_that_resumes_another_message_is_a_new_turn(ada: Person, llm: MemoryLLM) -> None:
    ada.says("Hi")
    found = events(ada.call("POST", "/api/chat/", {"message": "Ho"}, headers={**STREAM, "Last-Event-ID": "1"}))
    assert (found[0][1], found[-1][2]["user_message"]) == ("turn", "Ho")
    bad = ada.call("POST", "/api/chat/", {"message": "Hu"}, headers={**STREAM, "Last-Event-ID": "x"})
    assert bad.status_code == 400
    assert len(ada.history()) == 2


def test_running_turn_is_resumed_by_many_at_once(ada: Person, llm: MemoryLLM) -> None:
    gate = gated(llm, "abc", "def", "ghi")
    turn = running(ada)
    found: dict[int, list[Event]] = {}

    def read(offset: int) -> None:
        found[offset] = resumed(ada, turn["id"], offset)

    readers = [threading.Thread(target=read, args=(offset,)) for offset in (0, 1, 4, 6, 9)]
    for reader in readers:
        reader.start()
    later(0.2, gate)
    for reader in readers:
        reader.join(10)
    assert {offset: text(seen) for offset, seen in found.items()} == {n: "abcdefghi"[n:] for n in (0, 1, 4, 6, 9)}
    assert all(seen[-1][1] == "done" for seen in found.values())


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "", "١", "9" * 30, "1 ", "-end", "1-end-end"])
def test_id_that_is_no_offset_is_400(ada: Person, value: str) -> None:
    turn = ada.says("Hi").get_json()
    response = ada.call("GET", f"/api/chat/{turn['id']}/events/", headers={"Last-Event-ID": value})
    if value != "1 ":  # blanks around a header's value are no part of it
        assert (response.status_code, list(response.get_json()["errors"])) == (400, ["Last-Event-ID"])


def test_failed_turn_tells_its_error_again(ada: Person, llm: MemoryLLM) -> None:
    llm.fails(UpstreamIncomplete(), "Half")
    turn_id = ada.says("Hi").get_json()["instance"].split("/")[3]
    found = resumed(ada, turn_id, 2)
    assert [(number, name) for number, name, _ in found] == [(4, "delta"), (4, "problem"), (4, "error")]
    assert found[-2][2] == found[-1][2]
    assert found[-1][2]["code"] == "upstream_incomplete"
    assert [name for _, name, _ in resumed(ada, turn_id, 5)] == ["done"]  # it replaces what the client shows


def test_turn_of_a_dead_process_is_followed_by_its_row(
    app: Flask, ada: Person, llm: MemoryLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.05)
    gate = gated(llm, "saved", " lost")
    turn = running(ada)
    with app.app_context():
        wait_for(maintenance.flush_texts)
        mine = get_chat_state().running_turns
        one = mine.pop(execution.UUID(turn["id"]))
        get_chat_state().turn_log.close(one.turn.id)  # as after a restart: nothing in memory

        heartbeat = threading.Event()

        def reap() -> None:
            assert heartbeat.wait(30)
            with app.app_context():
                with write("test") as connection:
                    past = maintenance.now() - maintenance.LEASE
                    connection.execute(db.update(ChatMessage).values(lease_expires_at=past))
                assert maintenance.close_abandoned() == 1

        reaper = threading.Thread(target=reap)
        reaper.start()
        frames = []
        resume = {"Last-Event-ID": "2"}
        for frame in ada.call("GET", f"/api/chat/{turn['id']}/events/", headers=resume, buffered=False).response:
            frames.append(frame)
            if frame == sse.HEARTBEAT:
                heartbeat.set()
        found = processes.events(b"".join(frames).decode())
        reaper.join()
    assert text(found) == "ved"
    assert (found[-1][1], found[-1][2]["code"], found[-1][2]["retryable"]) == ("error", "interrupted", True)
    assert ended(ada, turn["id"])["bot_response"] == "saved"
    gate.set()
    mine[one.turn.id] = one
    wait_for(lambda: one.text.ended is not None)
    assert ended(ada, turn["id"])["bot_response"] == "saved"  # the late runner changes nothing
    with app.app_context(), write("test") as connection:
        assert connection.execute(db.select(TurnLogPiece.__table__)).all() == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)),
    data=st.data(),
)
def test_any_pieces_and_any_offset_give_the_same_text(
    ada: Person, llm: MemoryLLM, pieces: list[str], data: st.DataObject
) -> None:
    one = AnswerFilter(
        0
    )  # what it takes out of the whole, it takes out of any pieces (tests/rag/output_filter/test_answer_filter.py)
    whole = one.feed("".join(pieces)) + one.end()
    llm.says(*pieces)
    found = events(ada.says("Hi", stream=True))
    assert text(found) == whole
    turn = found[-1][2]
    assert turn["bot_response"] == whole
    offset = data.draw(st.integers(0, len(whole)))
    assert text(resumed(ada, turn["id"], offset)) == whole[offset:]
