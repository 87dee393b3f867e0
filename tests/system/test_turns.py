"""Turns under a real gunicorn: drained, cancelled, resumed by clients that leave, and an upstream that is down."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATABASES
from tests.support.databases import saved_text, stack_of_a_module
from tests.support.processes import Server, Upstream, call, events, running
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.both_databases

SLOW = ("--interval", "0.02", "--tokens", "40")


@pytest.fixture(scope="module")
def slow() -> Iterator[Upstream]:
    """An upstream with answers that take 0.8 s."""
    upstream = Upstream(*SLOW)
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module", params=DATABASES)
def slow_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, slow: Upstream
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("turns")
    with stack_of_a_module(request) as stack, running(folder, OPENAI_BASE_URL=slow.url, **stack) as server:
        yield server


class Stream:
    """One open event stream, read piece by piece."""

    def __init__(self, server: Server, token: str, message: str, last: int | None = None, turn: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if turn:
            self._connection.request("GET", f"/api/chat/{turn}/events/", headers=headers | {"Last-Event-ID": str(last)})
        else:
            self._connection.request("POST", "/api/chat/", json.dumps({"message": message, "stream": True}), headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200

    def event(self) -> tuple[int, str, dict[str, Any]] | None:
        """Return the next event, or None at the end."""
        lines = []
        while (line := self._response.readline().decode()) not in {"\n", ""}:
            lines.append(line)
        if not lines:
            return None
        return next(iter(events("".join(lines) + "\n")), None) or self.event()

    def leave(self) -> None:
        self._response.close()
        self._connection.close()

    def rest(self) -> list[tuple[int, str, dict[str, Any]]]:
        found = []
        while event := self.event():
            found.append(event)
        self.leave()
        return found


def test_phone_that_drops_its_connection_ten_times_shows_the_answer_byte_equal(slow_server: Server) -> None:
    token = slow_server.sign_in("phone")
    stream = Stream(slow_server, token, "Grüße \N{GRINNING FACE}")
    first = stream.event()
    assert first is not None
    turn = first[2]["id"]
    shown = ""
    position = 0
    for _ in range(10):
        event = stream.event()
        assert event is not None
        assert event[1] == "delta"
        shown = shown + event[2]["text"]
        position = event[0]
        stream.leave()
        stream = Stream(slow_server, token, "", position, turn)
    *deltas, done = stream.rest()
    shown += "".join(data["text"] for _, _, data in deltas)
    assert done[1] == "done"
    assert shown == done[2]["bot_response"]
    assert shown.startswith("You said: Grüße \N{GRINNING FACE}")


def test_cancel_closes_the_connection_to_the_upstream_within_two_seconds(
    tmp_path: Path, upstream: Upstream, stack: dict[str, str]
) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        token = server.sign_in()
        stream = Stream(server, token, "[[slow 30]] hello")
        first = stream.event()
        assert first is not None
        left = upstream.counters().get("left", 0)
        started = time.monotonic()
        assert server.call("POST", f"/api/chat/{first[2]['id']}/cancel/", token=token)[0] == 202
        *_, (_, name, turn) = stream.rest()
        wait_for(lambda: upstream.counters().get("left", 0) > left, 2)
        assert time.monotonic() - started < 2
        assert (name, turn["status"], turn["bot_response"]) == ("done", "cancelled", "Half an answer")


def test_sigterm_during_50_streams_lets_them_end(tmp_path: Path, slow: Upstream, stack: dict[str, str]) -> None:
    with running(tmp_path, OPENAI_BASE_URL=slow.url, **stack) as server:
        token = server.sign_in()
        with ThreadPoolExecutor(51) as pool:
            opened = list(pool.map(lambda n: Stream(server, token, f"Hello {n}"), range(50)))
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "draining" in server.log())
            ready = call(server.port, "GET", "/readyz")
            assert (ready[0], ready[2]["checks"]["turns"]) == (503, "draining")
            status, headers, problem = server.call("POST", "/api/chat/", {"message": "More"}, token)
            assert (status, problem["code"], "retry-after" in headers) == (503, "busy", True)
            ended = [found[-1] for found in pool.map(Stream.rest, opened)]
        assert [name for _, name, _ in ended] == ["done"] * 50
        assert {turn["user_message"] for _, _, turn in ended} == {f"Hello {n}" for n in range(50)}
        assert server.process.wait(20) == 0


def test_sigterm_ends_streams_that_have_no_end_of_their_own(
    tmp_path: Path, upstream: Upstream, stack: dict[str, str]
) -> None:
    """A page with a room open kept the server for its whole grace of 60 s."""
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        server.sign_in()
        server.flask("users", "promote", "ada@example.org")
        token = server.sign_in()
        room_id = server.call("POST", "/api/rooms/", {"name": "Lake"}, token)[2]["id"]
        since = server.call("GET", "/api/sync/", None, token)[2]["next_cursor"]
        events = (f"/api/rooms/{room_id}/events/", "/api/sync/events/", "/api/analytics/live/")
        paths = (*events, f"/api/sync/?wait=25&since={since}")
        with ThreadPoolExecutor(len(paths)) as pool:
            opened = [pool.submit(server.call, "GET", path, None, token) for path in paths]
            wait_for(lambda: all(path.partition("?")[0] in server.log() for path in paths))
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(15) == 0
            assert [future.result()[0] for future in opened] == [200] * len(paths)


def test_interrupt_closes_what_runs_with_the_text_so_far(
    tmp_path: Path, upstream: Upstream, stack: dict[str, str]
) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **stack) as server:
        token = server.sign_in()
        stream = Stream(server, token, "[[slow 30]] hello")
        first = stream.event()
        assert first is not None
        server.process.send_signal(signal.SIGINT)
        *_, (_, name, problem) = stream.rest()
        assert (name, problem["code"], problem["retryable"]) == ("error", "interrupted", True)
        assert server.process.wait(20) == 0
        server.start()
        turn = server.call("GET", problem["instance"], token=token)[2]
        assert (turn["status"], turn["bot_response"]) == ("interrupted", "Half an answer")


def test_text_of_a_killed_worker_is_kept_and_resumed(tmp_path: Path, upstream: Upstream, stack: dict[str, str]) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, TURN_FLUSH_SECONDS="0.1", **stack) as server:
        token = server.sign_in()
        stream = Stream(server, token, "[[slow 30]] hello")
        first = stream.event()
        assert first is not None
        turn_id = first[2]["id"]
        wait_for(lambda: saved_text(server, turn_id) == "Half an answer")
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        stream.leave()
        wait_for(lambda: len(server.workers()) == 1 and ready(server))
        assert server.call("GET", f"/api/chat/{turn_id}/", token=token)[2]["bot_response"] == "Half an answer"
        found = Stream(server, token, "", 5, turn_id).rest()
        assert [(number, name) for number, name, _ in found] == [(14, "delta"), (14, "problem"), (14, "error")]
        assert found[0][2]["text"] == "Half an answer"[5:]
        assert found[1][2]["code"] == "interrupted"
        assert [name for _, name, _ in Stream(server, token, "", 99, turn_id).rest()] == ["done"]


def ready(server: Server) -> bool:
    try:
        return call(server.port, "GET", "/readyz", seconds=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_client_that_stops_reading_holds_up_nobody_and_gets_its_answer_stored(server: Server) -> None:
    token = server.sign_in("sleeper")
    body = json.dumps({"message": "[[endless]] hello", "stream": True}).encode()
    head = f"POST /api/chat/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        sleeper.recv(10)
        for _ in range(5):
            assert server.call("POST", "/api/chat/", {"message": "Hi"}, token)[0] == 200
        turn = wait_for(lambda: next((t for t in server.call("GET", "/api/chat-history/", token=token)[2]["items"]
                                      if "endless" in t["user_message"] and t["status"] == "truncated"), None))  # fmt: skip
        assert len(turn["bot_response"]) > 1_000_000


@pytest.mark.parametrize("slow_server", ["sqlite"], indirect=True)
def test_lock_held_for_3_seconds_delays_no_stream_by_more_than_50_ms(slow_server: Server) -> None:
    token = slow_server.sign_in("patient")
    streams = [Stream(slow_server, token, f"Hello {n}") for n in range(3)]
    holder = sqlite3.connect(slow_server.folder / "chatbot.db", isolation_level=None)
    gaps: list[float] = []

    def read(stream: Stream) -> list[Any]:
        found = []
        last = time.monotonic()
        while event := stream.event():
            found.append(event)
            now = time.monotonic()
            if event[1] == "delta":
                gaps.append(now - last)
            last = now
        stream.leave()
        return found

    holder.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(read, stream) for stream in streams]
        let_pass(3)
        holder.execute("COMMIT")
        holder.close()
        ended = [future.result()[-1] for future in reading]
    assert [name for _, name, _ in ended] == ["done"] * 3
    assert sorted(gaps)[int(len(gaps) * 0.95)] < 0.02 + 0.05
