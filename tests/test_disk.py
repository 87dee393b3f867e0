"""A disk that becomes full under a real server: told in the right words, nothing acknowledged lost, healed by itself."""

from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.chaos import history
from tests.processes import UNMEASURED, Server, running
from tests.test_server import wait_for

LONG = "word " * 2_000
ROOM = 200_000  # bytes that are left


def limited(server: Server, most: int) -> None:
    """Let the worker write no file beyond this size, or any (-1)."""
    for pid in server.workers():
        psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (most, psutil.RLIM_INFINITY))


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="only Linux limits another process")
def test_full_disk_refuses_writes_serves_reads_and_heals_by_itself(tmp_path: Path) -> None:
    statuses, acknowledged = Counter[tuple[int, str]](), list[str]()
    with running(tmp_path, LLM="memory", EMBEDDER="memory", **UNMEASURED) as server:
        token = server.sign_in()

        def say(text: str) -> int:
            status, headers, body = server.call("POST", "/api/chat/", {"message": text}, token)
            statuses[(status, body.get("code", ""))] += 1
            assert status == 200 or int(headers["retry-after"]) > 0
            if status == 200:
                acknowledged.append(text)
            return status

        for number in range(5):
            say(f"{number} {LONG}")
        limited(server, max(path.stat().st_size for path in tmp_path.glob("chatbot.db*")) + ROOM)
        for number in range(5, 60):
            if say(f"{number} {LONG}") != 200:
                break
        else:
            pytest.fail("the disk did not become full")
        for number in range(60, 65):
            say(f"{number} {LONG}")
        assert server.call("GET", "/api/chat-history/", token=token)[0] == 200
        assert server.call("GET", "/healthz")[0] == 200
        assert server.call("GET", "/readyz")[2]["checks"]["disk"] != "ok"
        limited(server, psutil.RLIM_INFINITY)
        wait_for(lambda: say("after") == 200, 5)
        wait_for(lambda: server.call("GET", "/readyz")[2]["status"] == "ok", 15)
        assert set(statuses) == {(200, ""), (503, "storage_full")}, statuses
        kept = history(server, token)
        assert [turn["user_message"] for turn in kept if turn["user_message"] in acknowledged] == acknowledged
        wait_for(lambda: all(turn["status"] != "running" for turn in history(server, token)), 30)
