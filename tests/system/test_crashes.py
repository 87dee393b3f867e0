"""Every durable step of a turn, crashed once before its commit and once after it."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.crashes import MOMENTS, Client, crash_at_each, crashing, list_steps
from tests.support.databases import saved_text
from tests.support.processes import ROOT, Upstream
from tests.support.waiting import wait_for

OF_TURNS = (
    "turns",
    "execution",
    "maintenance",
    "feedback",
    "generation",
)  # modules of services/chat/ whose writes are a turn's steps


def steps() -> list[str]:
    """Return the durable steps of a turn, from the code: the argument of each `write(...)`."""
    return list_steps(ROOT / f"chatbot/services/chat/{module}.py" for module in OF_TURNS)


def answered(client: Client) -> None:
    client.wait_for_end(client.send_message("one"))


def regenerated(client: Client) -> None:
    first = client.wait_for_end(client.send_message("one"))
    turn_id = client.call("POST", f"/api/chat/{first['id']}/regenerate/", {}, key="again")[2]["id"]
    assert client.wait_for_end(turn_id)["siblings"]


def cancelled(client: Client) -> None:
    turn_id = client.send_message("[[slow 9]] two")
    client.call("POST", f"/api/chat/{turn_id}/cancel/", final=(409,))
    assert client.wait_for_end(turn_id)["status"] in {"cancelled", "interrupted"}


def long(client: Client) -> None:
    assert client.wait_for_end(client.send_message("[[slow 7]] three"))["status"] in {"completed", "interrupted"}


def abandoned(client: Client) -> None:
    turn_id = client.send_message("[[slow 9]] four")
    wait_for(lambda: saved_text(client.server, turn_id) == "Half an answer")
    for pid in client.server.workers():
        os.kill(pid, signal.SIGKILL)
    turn = client.wait_for_end(turn_id)
    assert (turn["status"], turn["bot_response"]) == ("interrupted", "Half an answer")


def rated(client: Client) -> None:
    turn_id = client.send_message("five")
    client.wait_for_end(turn_id)
    client.call("PUT", f"/api/chat/{turn_id}/feedback/", {"rating": 1})


REACHED_BY: dict[str, Callable[[Client], None]] = {
    "open_turn": answered,
    "close_turn": answered,
    "regenerate": regenerated,
    "cancel_turn": cancelled,
    "save_texts": long,
    "renew_leases": long,
    "close_abandoned": abandoned,
    "give_feedback": rated,
}


def test_every_durable_step_has_its_failpoint_and_its_way_there() -> None:
    assert sorted(steps()) == sorted(REACHED_BY)


def crash(folder: Path, step: str, moment: str, *, upstream: Upstream) -> None:
    with crashing(folder, upstream, step, moment) as (server, crashed):
        client = Client(server, server.sign_in())
        REACHED_BY[step](client)
        assert crashed(), "the failpoint was not reached"
        history = client.call("GET", "/api/chat-history/")[2]["items"]
        assert [turn["user_message"] for turn in history] == client.acknowledged
        for turn in history:
            client.wait_for_end(turn["id"])
        client.wait_for_end(client.send_message("and on it goes"))
        assert "(86)" in server.log() or "86" in server.log()


def test_crash_at_every_durable_step_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    points = [(step, moment) for step in REACHED_BY for moment in MOMENTS]
    points.sort(key=lambda point: point[0] != "close_abandoned")  # what takes longest begins first
    assert crash_at_each(points, tmp_path_factory, partial(crash, upstream=upstream)) == {}
