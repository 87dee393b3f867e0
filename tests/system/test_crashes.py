"""Every durable step of a turn, crashed once before its commit and once after it."""

import ast
import contextlib
import http.client
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import saved_text
from tests.support.processes import ROOT, UNMEASURED, Answer, Server, Upstream, running
from tests.support.waiting import wait_for

OF_TURNS = (
    "turns",
    "execution",
    "maintenance",
    "feedback",
    "generation",
)  # modules of services/chat/ whose writes are a turn's steps
MOMENTS = ("written", "committed")
RECOVERY_SECONDS = 60.0  # seconds for everything to be well again; a turn without its process ends within 20


def steps() -> list[str]:
    """Return the durable steps of a turn, from the code: the argument of each `write(...)`."""
    found = []
    for module in OF_TURNS:
        for node in ast.walk(ast.parse((ROOT / f"chatbot/services/chat/{module}.py").read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "write":
                assert isinstance(node.args[0], ast.Constant)
                found.append(node.args[0].value)
    return found


class Client:
    """A client that retries with the same key until there is a final answer."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.acknowledged = list[str]()

    def call(self, method: str, path: str, body: Any = None, key: str = "", final: tuple[int, ...] = ()) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        headers |= {"Prefer": "respond-async"} if method == "POST" else {}

        def find() -> tuple[int, dict[str, str], Any] | None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.server.call(method, path, body, self.token, headers=headers)
                return answer if answer[0] < 500 and (answer[0] < 400 or answer[0] in final) else None
            return None

        answer = wait_for(find, RECOVERY_SECONDS, interval=0.1)
        assert answer is not None
        return answer

    def says(self, message: str) -> str:
        turn_id: str = self.call("POST", "/api/chat/", {"message": message}, key=message)[2]["id"]
        self.acknowledged.append(message)
        return turn_id

    def ended(self, turn_id: str) -> dict[str, Any]:
        def find() -> dict[str, Any]:
            turn: dict[str, Any] = self.call("GET", f"/api/chat/{turn_id}/")[2]
            return turn if turn["status"] not in {"pending", "streaming"} else {}

        return wait_for(find, RECOVERY_SECONDS, interval=0.1)


def answered(client: Client) -> None:
    client.ended(client.says("one"))


def regenerated(client: Client) -> None:
    first = client.ended(client.says("one"))
    turn_id = client.call("POST", f"/api/chat/{first['id']}/regenerate/", {}, key="again")[2]["id"]
    assert client.ended(turn_id)["siblings"]


def cancelled(client: Client) -> None:
    turn_id = client.says("[[slow 9]] two")
    client.call("POST", f"/api/chat/{turn_id}/cancel/", final=(409,))
    assert client.ended(turn_id)["status"] in {"cancelled", "interrupted"}


def long(client: Client) -> None:
    assert client.ended(client.says("[[slow 7]] three"))["status"] in {"completed", "interrupted"}


def abandoned(client: Client) -> None:
    turn_id = client.says("[[slow 9]] four")
    wait_for(lambda: saved_text(client.server, turn_id) == "Half an answer")
    for pid in client.server.workers():
        os.kill(pid, signal.SIGKILL)
    turn = client.ended(turn_id)
    assert (turn["status"], turn["bot_response"]) == ("interrupted", "Half an answer")


def rated(client: Client) -> None:
    turn_id = client.says("five")
    client.ended(turn_id)
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


def crash(folder: Path, upstream: Upstream, step: str, moment: str) -> None:
    armed = folder / "armed"
    armed.touch()
    settings = {**UNMEASURED, "APP_ENV": "testing", "FAILPOINT": f"{step}:{moment}", "FAILPOINT_FILE": str(armed)}
    with running(folder, OPENAI_BASE_URL=upstream.url, TURN_FLUSH_SECONDS="0.2", **settings) as server:
        client = Client(server, server.sign_in())
        REACHED_BY[step](client)
        assert not armed.exists(), "the failpoint was not reached"
        history = client.call("GET", "/api/chat-history/")[2]["items"]
        assert [turn["user_message"] for turn in history] == client.acknowledged
        for turn in history:
            client.ended(turn["id"])
        client.ended(client.says("and on it goes"))
        assert "(86)" in server.log() or "86" in server.log()


def test_crash_at_every_durable_step_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    points = [(step, moment) for step in REACHED_BY for moment in MOMENTS]
    points.sort(key=lambda point: point[0] != "close_abandoned")  # what takes longest begins first
    with ThreadPoolExecutor(6) as pool:
        crashed = {
            point: pool.submit(crash, tmp_path_factory.mktemp("-".join(point)), upstream, *point) for point in points
        }
    failed = {point: repr(future.exception()) for point, future in crashed.items() if future.exception()}
    assert failed == {}
