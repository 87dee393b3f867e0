"""Attacks with one account: opened, sent, slowly read or requested things stop no other user."""

import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.hostile.attack import (
    ATTACKER,
    BOUNDED,
    HEALTH_SECONDS,
    HONEST,
    Watch,
    connect,
    flood,
    request,
    send_pdf,
    slow_pdf,
    status,
)
from tests.support.processes import Server, Upstream, running
from tests.support.waiting import let_pass, wait_for

RATES = {
    "RATE_CHAT_USER": "10000 per minute",
    "RATE_CHAT_ADDRESS": "10000 per minute",
    "RATE_READ_USER": "10000 per minute",
    "RATE_DOCUMENT_USER": "10000 per minute",
}
BOUNDS = {
    "SEND_SECONDS": "2",
    "STREAMS_PER_USER": "10",
    "REQUESTS_PER_USER": "8",
    "TURNS_PER_USER": "4",
    "LLM_SLOTS": "4",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    upstream = Upstream("--first", "0.2", "--interval", "0.02", "--tokens", "20")
    folder = tmp_path_factory.mktemp("one_user")
    with running(folder, OPENAI_BASE_URL=upstream.url, **BOUNDED, **RATES, **BOUNDS) as started:
        yield started
    upstream.stop()


@pytest.fixture(scope="module")
def attacker(server: Server) -> str:
    return server.sign_in("mallory", source=ATTACKER)


@pytest.fixture(scope="module")
def honest(server: Server) -> str:
    return server.sign_in("honest", source=HONEST)


def seconds_of_a_chat(server: Server, token: str) -> float:
    started = time.monotonic()
    answer = server.call("POST", "/api/chat/", {"message": "Hi"}, token, source=HONEST)
    assert answer[0] == 200
    return time.monotonic() - started


def test_turns_of_one_user_at_a_time_are_bounded_and_others_are_served(
    server: Server, attacker: str, honest: str
) -> None:
    """A8: 60 asynchronous messages of one account made the others wait for 120 s, then get 503."""
    quiet = statistics.median(seconds_of_a_chat(server, honest) for _ in range(3))

    def send(number: int) -> tuple[int, dict[str, str], Any]:
        body = {"message": f"[[stall]] {number}" if number % 2 else f"Tell me {number}"}
        options: dict[str, Any] = {"headers": {"Prefer": "respond-async"}, "source": ATTACKER}
        return server.call("POST", "/api/chat/", body, attacker, **options)

    with Watch(server) as watch:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(send, range(60)))
        busy = statistics.median(seconds_of_a_chat(server, honest) for _ in range(3))
    refused = [answer for answer in answers if answer[0] == 429]
    assert {answer[0] for answer in answers} == {202, 429}
    assert len(refused) >= 40
    assert {answer[2]["code"] for answer in refused} == {"too_many_turns"}
    assert all(int(answer[1]["retry-after"]) >= 1 for answer in refused)
    assert busy <= 1.5 * quiet
    assert watch.slowest < HEALTH_SECONDS
    for answer in answers:
        if answer[0] == 202:
            server.call("POST", f"/api/chat/{answer[2]['id']}/cancel/", None, attacker, source=ATTACKER)
    wait_until_quiet(server, attacker)


def wait_until_quiet(server: Server, token: str) -> None:
    """Wait until none of a user's turns runs."""

    def is_quiet() -> bool:
        items = server.call("GET", "/api/chat-history/?limit=100", None, token, source=ATTACKER)[2]["items"]
        return not any(turn["status"] in {"pending", "streaming"} for turn in items)

    wait_for(is_quiet, 20, interval=0.2)


def test_event_streams_of_one_user_are_bounded(server: Server, attacker: str, honest: str) -> None:
    """A7: 600 event streams of one waiting document took 125 % of a core."""
    answer = server.call("POST", "/api/chat/", {"message": "Hi"}, attacker, source=ATTACKER)
    events = request("GET", f"/api/chat/{answer[2]['id']}/events/", attacker)
    document = send_pdf(server, attacker, slow_pdf())[1]["id"]
    followed = request("GET", f"/api/documents/{document}/events/", attacker)
    with Watch(server) as watch, flood(server, 40, followed, wait=True) as connections:
        assert len(connections) == 40
        assert [status(connection) for connection in connections[10:]] == [429] * 30
        refused = server.call("GET", f"/api/chat/{answer[2]['id']}/events/", None, attacker, source=ATTACKER)
        assert (refused[0], refused[2]["code"]) == (429, "too_many_streams")
        said = {"message": "Nothing of this may be written", "stream": True}
        refused = server.call("POST", "/api/chat/", said, attacker, source=ATTACKER)
        assert (refused[0], refused[2]["code"]) == (429, "too_many_streams")
        assert seconds_of_a_chat(server, honest) < 2
        before = cpu_seconds(server)
        let_pass(2)
        assert cpu_seconds(server) - before < 0.5
    assert watch.slowest < HEALTH_SECONDS
    server.call("DELETE", f"/api/documents/{document}/", None, attacker, source=ATTACKER)
    history = json.dumps(server.call("GET", "/api/chat-history/", None, attacker, source=ATTACKER)[2])
    assert "Nothing of this" not in history

    def is_admitted() -> bool:
        with connect(server) as again:
            again.sendall(events)
            return status(again) == 200

    wait_for(is_admitted, 10, interval=0.3)  # the server learns that a reader left when it writes the next heartbeat


def cpu_seconds(server: Server) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in server.workers()]
    return sum(one.user + one.system for one in times)


def test_requests_of_one_user_at_a_time_are_bounded(server: Server, attacker: str, honest: str) -> None:
    slow = request("POST", "/api/search/", attacker, length=100) + b"{"
    with Watch(server) as watch, flood(server, 12, slow) as connections:
        let_pass(0.3)
        refused = server.call("GET", "/api/users/me/", None, attacker, source=ATTACKER)
        assert (refused[0], refused[2]["code"]) == (429, "too_many_requests_at_once")
        assert int(refused[1]["retry-after"]) >= 1
        assert server.call("GET", "/api/users/me/", None, honest, source=HONEST)[0] == 200
        assert len(connections) == 12
    assert watch.slowest < HEALTH_SECONDS
    wait_for(lambda: server.call("GET", "/api/users/me/", None, attacker, source=ATTACKER)[0] == 200, 15, interval=0.2)


def fill_history(server: Server, token: str) -> None:
    """Write turns of the longest messages, as fast as the bound of running turns lets them in."""

    def send(number: int) -> None:
        body = {"message": f"{number} " + "\U0001f600" * 31_000}
        while server.call("POST", "/api/chat/", body, token, source=ATTACKER, seconds=60)[0] == 429:
            let_pass(0.1)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, range(24)))


def test_pages_of_a_history_end_at_a_megabyte_and_unread_ones_are_dropped(
    server: Server, attacker: str, honest: str
) -> None:
    """A6: pages of 15 MB held the loop for .4 s each, and 40 unread ones pinned 766 MB."""
    fill_history(server, attacker)
    (worker,) = server.workers()
    items = []
    cursor = ""
    sizes = []
    with Watch(server) as watch:
        while cursor is not None:
            path = f"/api/chat-history/?limit=100{f'&cursor={cursor}' if cursor else ''}"
            page = server.call("GET", path, None, attacker, source=ATTACKER)[2]
            sizes.append(sum(len((t["user_message"] + t["bot_response"]).encode()) for t in page["items"]))
            items += page["items"]
            cursor = page["next_cursor"]
    assert watch.slowest < HEALTH_SECONDS
    assert len(sizes) >= 3
    assert max(sizes) < 1_300_000
    assert len({turn["id"] for turn in items}) == len(items) >= 24
    assert [turn["created_at"] for turn in items] == sorted(turn["created_at"] for turn in items)
    before = psutil.Process(worker).memory_info().rss
    page = request("GET", "/api/chat-history/?limit=100", attacker)
    with Watch(server) as watch, flood(server, 40, page, receive_buffer=4096):
        let_pass(1)
        assert seconds_of_a_chat(server, honest) < 2
        assert psutil.Process(worker).memory_info().rss - before < 200 << 20
        let_pass(3)
        (answered, *_) = server.call("GET", "/api/users/me/", None, attacker, source=ATTACKER)
        assert answered == 200  # unread answers were given up: they count no longer
    assert watch.slowest < HEALTH_SECONDS
    assert psutil.Process(worker).memory_info().rss - before < 150 << 20


def test_slow_files_of_one_user_make_no_text_of_another_wait(server: Server, attacker: str, honest: str) -> None:
    """A5: two PDFs of 55 KB blocked all documents for four minutes."""
    for number in range(4):
        assert send_pdf(server, attacker, slow_pdf() + b"%%%d" % number)[0] == 202
    started = time.monotonic()
    with Watch(server) as watch:
        document = server.call(
            "POST", "/api/documents/", {"title": "Hours", "text": "Open from nine to five."}, honest, source=HONEST
        )[2]
        address = f"/api/documents/{document['id']}/"
        wait_for(
            lambda: server.call("GET", address, None, honest, source=HONEST)[2]["status"] == "ready", interval=0.05
        )
    assert time.monotonic() - started < 5
    assert watch.slowest < HEALTH_SECONDS


def test_stalled_uploads_are_given_up(tmp_path: Path) -> None:
    bounds = {"BODY_READ_SECONDS": "1", "BODY_TOTAL_SECONDS": "2"}
    with running(tmp_path, LLM="memory", **BOUNDED, **bounds) as server:
        token = server.sign_in("mallory", source=ATTACKER)
        other = server.sign_in("honest", source=HONEST)
        head = request("POST", "/api/documents/", token, Content_Type="multipart/form-data; boundary=x")
        stalled = head[:-2] + b"Content-Length: 5000000\r\n\r\n--x\r\n"
        with Watch(server) as watch, flood(server, 30, stalled) as connections:
            assert seconds_of_a_chat(server, other) < 2
            assert {status(connection) for connection in connections} <= {408, 429}
        assert watch.slowest < HEALTH_SECONDS
        sent = server.call("POST", "/api/documents/", {"title": "T", "text": "Text."}, token, source=ATTACKER)
        assert sent[0] == 202


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/search/", {f"k{number}": [] for number in range(4_900)}),
        ("/api/collections/", {f"k{number}": [] for number in range(4_900)}),
        ("/api/search/", {"query": "a", "collection_ids": ["01a22165-4109-7319-ac38-0eaf7a81d435"] * 9_000}),
        ("/api/search/", {"query": "a", "filter": {f"n{n}": {"in": [str(k) for k in range(50)]} for n in range(20)}}),
    ],
    ids=["unknown fields", "unknown fields of a collection", "ids", "filter"],
)
def test_bodies_of_many_values_hold_nobody(
    server: Server, attacker: str, honest: str, path: str, body: dict[str, Any]
) -> None:
    """Thirty at once, each of 24,000 unknown fields, held all others for 11 s."""
    with Watch(server) as watch:
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(server.call, "POST", path, body, attacker, source=ATTACKER) for _ in range(32)]
        assert seconds_of_a_chat(server, honest) < 2
    answers = [one.result() for one in sent]
    assert {answer[0] for answer in answers} <= {200, 400, 429}
    assert all(len(answer[2].get("errors", {})) <= 20 for answer in answers)
    assert watch.slowest < HEALTH_SECONDS


def test_text_of_many_tokens_slows_no_chat_of_another_down(server: Server, attacker: str, honest: str) -> None:
    """All searches waited for one thread while it embedded and indexed a text of two million emoji."""
    body = {"title": "Hours", "text": "Open from nine to five."}
    assert server.call("POST", "/api/documents/", body, honest, source=HONEST)[0] in {200, 202}
    quiet = statistics.median(seconds_of_a_chat(server, honest) for _ in range(5))
    for number in range(3):
        text = {"title": "T", "text": f"{number} " + "\U0001f600" * 80_000}
        assert server.call("POST", "/api/documents/", text, attacker, source=ATTACKER)[0] == 202
    with Watch(server) as watch:
        busy = statistics.median(seconds_of_a_chat(server, honest) for _ in range(10))
    assert busy < 1.5 * quiet
    assert watch.slowest < HEALTH_SECONDS
