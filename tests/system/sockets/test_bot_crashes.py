"""Every durable step of a bot's answer, crashed once before its commit and once after it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.crashes import MOMENTS, RECOVERY_SECONDS, Client, crash_at_each, crashing, list_steps
from tests.support.processes import ROOT, Upstream
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

RUNNING = {"queued", "pending"}
Json = dict[str, Any]


def post(client: Client, room: str, text: str) -> Json:
    message: Json = client.call("POST", f"{room}messages/", {"text": text, "client_id": text})[2]
    client.acknowledged.append(text)
    return message


def find_answer(client: Client, room: str, question: Json) -> Json:
    items = client.call("GET", f"{room}messages/?limit=100")[2]["items"]
    found: list[Json] = [one for one in items if one["kind"] == "bot" and one["reply_to"] == question["id"]]
    assert len(found) == 1
    return found[0]


def wait_for_answer(client: Client, room: str, question: Json) -> Json:
    def find_ended() -> Json:
        answer = find_answer(client, room, question)
        return answer if answer["status"] not in RUNNING else {}

    return wait_for(find_ended, RECOVERY_SECONDS, interval=0.1)


def answer_one(client: Client, room: str) -> None:
    answer = wait_for_answer(client, room, post(client, room, "@bot one"))
    assert answer["status"] in {"completed", "interrupted"}


def cancel_waiting(client: Client, room: str) -> None:
    first = post(client, room, "@bot [[slow 9]] one")
    waiting = find_answer(client, room, post(client, room, "@bot two"))
    status = client.call("POST", f"{room}messages/{waiting['id']}/cancel/", final=(409,))[0]
    expected = {"cancelled"} if status == 202 else {"cancelled", "completed"}  # 409: an earlier try has ended it
    assert wait_for_answer(client, room, {"id": waiting["reply_to"]})["status"] in expected
    client.call("POST", f"{room}messages/{find_answer(client, room, first)['id']}/cancel/", final=(409,))
    wait_for_answer(client, room, first)


REACHED_BY: dict[str, Callable[[Client, str], None]] = {
    "start_room_answer": answer_one,
    "begin_room_answer": answer_one,
    "settle_room_answer": answer_one,
    "end_room_answer": cancel_waiting,
}


def test_every_durable_step_has_its_way_there() -> None:
    assert sorted(list_steps((ROOT / "chatbot/services/rooms/bot").glob("*.py"))) == sorted(REACHED_BY)


def crash(folder: Path, step: str, moment: str, *, upstream: Upstream) -> None:
    with crashing(folder, upstream, step, moment) as (server, crashed):
        client = Client(server, server.sign_in())
        room = f"/api/rooms/{client.call('POST', '/api/rooms/', {'name': 'Lake'}, key='room')[2]['id']}/"
        REACHED_BY[step](client, room)
        assert crashed(), "the failpoint was not reached"
        assert wait_for_answer(client, room, post(client, room, "@bot and on it goes"))["status"] == "completed"
        items = client.call("GET", f"{room}messages/?limit=100")[2]["items"]
        assert [one["text"] for one in items if one["kind"] == "message"] == client.acknowledged
        assert [one["seq"] for one in items] == list(range(1, len(items) + 1))


def test_crash_at_every_durable_step_loses_no_question(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    points = [(step, moment) for step in REACHED_BY for moment in MOMENTS]
    assert crash_at_each(points, tmp_path_factory, partial(crash, upstream=upstream)) == {}
