"""Servers that crash at a failpoint, and a client that goes on until it is answered."""

import ast
import contextlib
import http.client
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Answer, Server, Upstream, running
from tests.support.waiting import wait_for

MOMENTS = ("written", "committed")
RECOVERY_SECONDS = 60.0  # the reaper closes a turn of a dead process within 20
MAX_SERVERS = 6

Failpoint = tuple[str, str]  # a durable step and a moment of it


def list_steps(modules: Iterable[Path]) -> list[str]:
    """Return the durable steps of modules, from the code: the argument of each `write(...)`."""
    found = []
    for path in sorted(modules):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "write":
                assert isinstance(node.args[0], ast.Constant)
                found.append(node.args[0].value)
    return found


@contextlib.contextmanager
def crashing(folder: Path, upstream: Upstream, step: str, moment: str) -> Iterator[tuple[Server, Callable[[], bool]]]:
    """Run a server with a worker that crashes once at a failpoint; yield the server and a predicate of the crash."""
    armed = folder / "armed"
    armed.touch()
    settings = {"APP_ENV": "testing", "FAILPOINT": f"{step}:{moment}", "FAILPOINT_FILE": str(armed)}
    with running(folder, OPENAI_BASE_URL=upstream.url, TURN_FLUSH_SECONDS="0.2", **settings) as server:
        yield server, lambda: not armed.exists()


def crash_at_each(
    points: Sequence[Failpoint], folders: pytest.TempPathFactory, crash: Callable[[Path, str, str], None]
) -> dict[Failpoint, str]:
    """Call a function with a folder for each failpoint, some at a time; return the errors by failpoint."""
    with ThreadPoolExecutor(MAX_SERVERS) as pool:
        ended = {point: pool.submit(crash, folders.mktemp("-".join(point)), *point) for point in points}
    return {point: repr(future.exception()) for point, future in ended.items() if future.exception()}


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

    def send_message(self, message: str) -> str:
        turn_id: str = self.call("POST", "/api/chat/", {"message": message}, key=message)[2]["id"]
        self.acknowledged.append(message)
        return turn_id

    def wait_for_end(self, turn_id: str) -> dict[str, Any]:
        def find() -> dict[str, Any]:
            turn: dict[str, Any] = self.call("GET", f"/api/chat/{turn_id}/")[2]
            return turn if turn["status"] not in {"pending", "streaming"} else {}

        return wait_for(find, RECOVERY_SECONDS, interval=0.1)
