"""A disk that becomes full under a real server: told in the right words, nothing acknowledged lost, healed by itself."""

import contextlib
import os
from collections import Counter
from pathlib import Path

import psutil
import pytest

from chatbot.database.integrity import CHECKING, DAMAGED, REPLACED
from chatbot.database.sqlite.dialect import sqlite
from tests.support.chaos import history
from tests.support.processes import Server, running
from tests.support.waiting import wait_for

LONG = "word " * 2_000
SETTINGS = {"LLM": "memory", "EMBEDDER": "memory"}
ROOM = 200_000  # bytes that are left


def limited(server: Server, most: int) -> None:
    """Let the worker write no file beyond this size, or any (-1)."""
    for pid in server.workers():
        psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (most, psutil.RLIM_INFINITY))


def checked(server: Server) -> str:
    """Return the state of the file in `/readyz`, once it has been checked."""
    return wait_for(lambda: (found := server.call("GET", "/readyz")[2]["checks"]["file"]) != CHECKING and found, 15)


def filled(tmp_path: Path) -> Server:
    """Make a server with some pages in its database, and end it in order."""
    with running(tmp_path, **SETTINGS) as server:
        assert checked(server) == "ok"
        token = server.sign_in()
        for number in range(40):
            server.call("POST", "/api/chat/", {"message": f"{number} {LONG}"}, token)
    with contextlib.closing(sqlite.connect(tmp_path / "chatbot.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return server


def flip(path: Path, at: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * length)


def test_damaged_header_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = filled(tmp_path)
    flip(tmp_path / "chatbot.db", 0, 100)
    before = (tmp_path / "chatbot.db").read_bytes()
    server.log_path.unlink()
    server.spawn()
    assert server.process.wait(30) == os.EX_CONFIG
    (line,) = [line for line in server.lines() if line["level"] == "critical"]
    assert (
        line["event"]
        == "DATABASE_URL: The database file is damaged: restore a backup into a new one (`flask restore`)."
    )
    assert "Traceback" not in server.log()
    upgrade = server.flask("db", "upgrade", check=False)
    assert (upgrade.returncode, upgrade.stderr.count("\n")) == (os.EX_CONFIG, 1)
    assert (tmp_path / "chatbot.db").read_bytes() == before


def test_end_that_was_not_clean_is_looked_into_beside_the_traffic(tmp_path: Path) -> None:
    server = filled(tmp_path)
    server.start()
    server.kill()
    size = (tmp_path / "chatbot.db").stat().st_size
    server.start()
    assert checked(server) == "ok"
    server.kill()
    for page in range(size // 4096 // 2, size // 4096, 4):
        flip(tmp_path / "chatbot.db", page * 4096, 64)
    server.start()
    assert checked(server) == DAMAGED
    assert server.call("GET", "/readyz")[2]["status"] == "degraded"
    assert server.call("GET", "/healthz")[0] == 200
    (line,) = [line for line in server.lines() if line["event"] == "damaged database"]
    assert line["level"] == "error"
    server.stop()
    server.start()
    assert checked(server) == DAMAGED  # that it ended in order has mended nothing
    server.stop()


def test_clean_end_of_one_server_hides_no_other_end_on_the_same_file(tmp_path: Path) -> None:
    filled(tmp_path)
    one = Server(tmp_path, **SETTINGS).start()
    other = Server(tmp_path, **SETTINGS).start()
    assert (checked(one), checked(other)) == ("ok", "ok")
    one.stop()
    other.kill()
    size = (tmp_path / "chatbot.db").stat().st_size
    for page in range(size // 4096 // 2, size // 4096, 4):
        flip(tmp_path / "chatbot.db", page * 4096, 64)
    other.start()
    assert checked(other) == DAMAGED
    other.stop()
    assert len(list(tmp_path.glob("chatbot.db-in-use*"))) == 1  # of the one that was killed


def test_deleted_file_is_noticed_before_anything_more_is_written(tmp_path: Path) -> None:
    home = tmp_path / "instance"
    home.mkdir()
    server = Server(home, **SETTINGS).prepare()
    server.log_path = tmp_path / "server.log"
    server.start()
    try:
        token = server.sign_in()
        home.rename(tmp_path / "away")
        home.mkdir()
        for method, path, body in (
            ("POST", "/api/users/login/", {"email": "ada@example.org", "password": "a sound passphrase"}),
            ("POST", "/api/chat/", {"message": "Hi"}),
            ("GET", "/api/chat-history/", None),
        ):
            status, headers, problem = server.call(method, path, body, token)
            assert (status, problem["code"], headers["retry-after"]) == (503, "database_unavailable", "60")
        status, _, ready = server.call("GET", "/readyz")
        assert (status, ready["status"], ready["checks"]["database"]) == (503, "unavailable", REPLACED)
        assert [line["detail"] for line in server.lines() if line["event"] == "database file replaced"] == [REPLACED]
        assert list(home.glob("chatbot.db*")) == []
        home.rmdir()
        (tmp_path / "away").rename(home)
        assert server.call("POST", "/api/chat/", {"message": "Hi"}, token)[0] == 200
        assert server.call("GET", "/readyz")[2]["status"] == "ok"
    finally:
        server.stop()


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="only Linux limits another process")
def test_full_disk_refuses_writes_serves_reads_and_heals_by_itself(tmp_path: Path) -> None:
    statuses = Counter[tuple[int, str]]()
    acknowledged = list[str]()
    with running(tmp_path, **SETTINGS) as server:
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
