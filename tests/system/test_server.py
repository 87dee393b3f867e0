"""The application under a real gunicorn: starting, serving, being killed, ending."""

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from chatbot.database.sqlite.dialect import sqlite
from tests.support.processes import Server, Upstream, call, free_port, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.measured

TERMINAL = {"completed", "truncated", "filtered", "failed", "cancelled", "interrupted"}


def test_answer_comes_from_the_configured_server(server: Server, upstream: Upstream) -> None:
    token = server.sign_in("configured")
    status, headers, turn = server.call("POST", "/api/chat", {"message": "hello world"}, token)
    assert (status, turn["bot_response"], turn["status"]) == (200, "You said: hello world", "completed")
    assert turn["usage"] == {"prompt_tokens": len(prompt_words(upstream)), "completion_tokens": 4}
    assert turn["model"] == "gpt-3.5-turbo"
    assert headers["cache-control"] == "no-store"
    sent = upstream.log()[-1]["request"]
    assert (sent["max_tokens"], sent["temperature"]) == (150, 0.7)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def prompt_words(upstream: Upstream) -> list[str]:
    return " ".join(message["content"] for message in upstream.log()[-1]["request"]["messages"]).split()


def test_both_slashes_answer_directly(server: Server) -> None:
    for path in ("/api/docs", "/api/docs/", "/healthz", "/healthz/", "/api/openapi.json"):
        assert server.call("GET", path)[0] == 200, path


def test_doubled_slash_is_no_redirect(server: Server) -> None:
    assert server.call("GET", "//api//chat-history/")[0] == 404


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "request_header_fields_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA B: <script>\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ],
)
def test_what_is_no_request_is_refused_with_a_problem_document(
    server: Server, sent: bytes, status: int, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(sent)
        head, body = connection.makefile("rb").read().split(b"\r\n\r\n", 1)
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert {"content-type: application/problem+json", "x-content-type-options: nosniff"} <= set(lines)
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["retryable"]) == (status, code, False)
    assert b"script" not in body


@pytest.mark.parametrize(
    ("q", "status"), [("\N{HONEYBEE}" * 400, 200), ("x" * 5_000, 400)], ids=["400 bees", "5,000 letters"]
)
def test_long_query_reaches_the_route(server: Server, q: str, status: int) -> None:
    found, _, body = server.call("GET", f"/api/chat-history/?q={quote(q)}", token=server.sign_in("searcher"))
    assert (found, list(body.get("errors", {}))) == (status, ["q"] if status == 400 else [])


def test_body_that_is_too_large_is_answered_though_it_is_sent_whole(server: Server) -> None:
    token = server.sign_in("large")
    for size in (1_100_000, 5_000_000, 20_000_000):
        status, _, problem = server.call("POST", "/api/chat/", {"message": "x" * size}, token)  # reads when all is sent
        assert (status, problem["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Content-Length: 2000000", b"", 413),
        ("Transfer-Encoding: chunked", b"ZZ\r\nabc", 400),
        ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"100001\r\n" + b"x" * 0x100001 + b"\r\nZZ\r\n", 413),
    ],
    ids=range(4),
)
def test_body_that_stalls_or_is_broken_is_refused_soon(server: Server, head: str, body: bytes, status: int) -> None:
    lines = f"POST /api/users/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(lines.encode() + body)
        answer = connection.makefile("rb")
        assert answer.readline().split()[1] == str(status).encode()
        assert b"application/problem+json" in b"".join(iter(answer.readline, b"\r\n"))


def test_what_is_no_request_stays_out_of_the_log(server: Server) -> None:
    for sent in (
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer SECRET\r\n\r\n",
        b'{"password": "SECRET"}\r\n\r\n',
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
            assert b" 400 " in connection.makefile("rb").readline()
    assert "Invalid request from ip=127.0.0.1" in server.log()
    assert "SECRET" not in server.log()


def test_client_that_leaves_still_gets_its_answer_stored(server: Server) -> None:
    token = server.sign_in("leaver")
    body = b'{"message": "[[slow 0.5]] see you later"}'
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST /api/chat/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        wait_for(lambda: server.call("GET", "/api/chat-history/", token=token)[2]["items"])
    turn = wait_for(lambda: [t for t in history(server, token) if t["status"] in TERMINAL])[0]
    assert (turn["status"], turn["bot_response"]) == ("completed", "Half an answer at last")


def history(server: Server, token: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = server.call("GET", "/api/chat-history/", token=token)[2]["items"]
    return items


def test_body_over_the_limit_is_413_even_without_a_length(server: Server) -> None:
    assert server.call("POST", "/api/users/login/", {"email": "x" * 1_100_000, "password": "x"})[0] == 413
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /api/users/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%s\r\n" % (b"x" * 0x10000) * 17 + b"0\r\n\r\n"
        )
        assert b" 413 " in connection.recv(100)


@pytest.mark.parametrize("who", ["worker", "everything"])
def test_kill_in_the_middle_of_a_chat_keeps_the_message_and_ends_the_turn(
    tmp_path: Path, upstream: Upstream, who: str
) -> None:
    server = Server(tmp_path, OPENAI_BASE_URL=upstream.url).prepare().start()
    try:
        token = server.sign_in()
        chat = threading.Thread(target=lambda: pytest.raises(OSError, ask, server, token), daemon=True)
        chat.start()
        wait_for(lambda: history(server, token))
        if who == "everything":
            server.kill()
            server.start()
        else:
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: server.workers() not in ([], [worker]))
        turns = wait_for(lambda: [t for t in patient_history(server, token) if t["status"] in TERMINAL])
        assert [(t["user_message"], t["status"]) for t in turns] == [("[[stall]] remember me", "interrupted")]
        assert turns[0]["error"]["retryable"] is True
    finally:
        server.stop()


def ask(server: Server, token: str) -> None:
    server.call("POST", "/api/chat/", {"message": "[[stall]] remember me"}, token)


def patient_history(server: Server, token: str) -> list[dict[str, object]]:
    try:
        return history(server, token)
    except OSError:  # the new worker is not up yet
        return []


def test_purge_runs_inside_the_worker_soon_after_the_start(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, RETENTION_DAYS="1") as server:
        token = server.sign_in()
        server.call("POST", "/api/chat/", {"message": "long ago"}, token)
        server.stop()
        with contextlib.closing(sqlite.connect(str(tmp_path / "chatbot.db"))) as database:
            database.execute("UPDATE chat_messages SET created_at = '2020-01-01 00:00:00.000000'")
            database.execute("UPDATE leases SET last_run_at = NULL")
            database.commit()
        server.start()
        wait_for(lambda: any(line["event"] == "purged" and line["turns"] == 1 for line in server.lines()))
        assert history(server, token) == []


def test_long_answer_keeps_its_lease(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, LLM_IDLE_SECONDS="30") as server:
        token = server.sign_in()
        turn = server.call("POST", "/api/chat/", {"message": "[[slow 19]] take your time"}, token)[2]
        assert (turn["status"], turn["bot_response"]) == ("completed", "Half an answer at last")


def test_no_greenlet_holds_the_hub_under_mixed_load(tmp_path: Path, upstream: Upstream) -> None:
    watched = {"GEVENT_MONITOR_THREAD_ENABLE": "true", "GEVENT_MAX_BLOCKING_TIME": "0.1", "BCRYPT_ROUNDS": "12"}
    with running(tmp_path, OPENAI_BASE_URL=upstream.url, **watched) as server:
        token = server.sign_in()

        def mixed(number: int) -> int:
            account = {"email": f"u{number}@example.org", "username": f"user{number}", "password": "a sound passphrase"}
            requests = (
                ("POST", "/api/chat/", {"message": f"number {number}"}),
                ("GET", "/api/chat-history/?limit=100", None),
                ("POST", "/api/users/signup/", {**account, "password_confirm": account["password"]}),
                ("POST", "/api/users/login/", {"email": "ada@example.org", "password": "a sound passphrase"}),
                ("GET", "/api/openapi.json", None),
            )
            return max(server.call(method, path, body, token)[0] for method, path, body in requests)

        def has_held_the_hub(first: int) -> bool:
            before = len(server.log())
            with ThreadPoolExecutor(8) as pool:
                assert max(pool.map(mixed, range(first, first + 24))) < 300
            return "blocked" in server.log()[before:]

        # What holds the hub does so each time; a machine that is busy elsewhere for 100 ms looks the same, once.
        assert not all(has_held_the_hub(first) for first in (0, 24, 48))


def test_monitor_would_tell_of_a_held_hub(tmp_path: Path) -> None:
    """The test above can fail: a hub that is held is told of."""
    import subprocess
    import sys

    script = "import time, gevent; gevent.get_hub(); gevent.sleep(0.2); gevent.spawn(time.sleep, 1).join()"
    watched = {**os.environ, "GEVENT_MONITOR_THREAD_ENABLE": "true", "GEVENT_MAX_BLOCKING_TIME": "0.1"}
    told = subprocess.run([sys.executable, "-c", script], env=watched, capture_output=True, text=True, check=True)
    assert "blocked" in told.stderr


def test_interrupt_ends_everything_with_status_0(tmp_path: Path, upstream: Upstream) -> None:
    server = Server(tmp_path, OPENAI_BASE_URL=upstream.url).prepare().start()
    workers = server.workers()
    wait_for(lambda: "/api/docs/" in server.log(), 15)
    assert server.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert f"Chatbot API listens on http://127.0.0.1:{server.port}" in server.log()
    assert f"gpt-3.5-turbo at {upstream.url}" in server.log()
    assert f"http://127.0.0.1:{server.port}/api/docs/" in server.log()
    assert f"http://127.0.0.1:{server.port}/demo/" in server.log()


def test_every_log_line_is_json_but_the_announcement(server: Server) -> None:
    server.call("GET", "/healthz")
    server.call("GET", "/api/chat-history/")
    announced = ("Chatbot API", "  model:", "  fallback:", "  document:", "  chat:")
    log = re.sub(r"^--- Mail to .*?\n-{10,}$\n", "", server.log(), flags=re.MULTILINE | re.DOTALL)  # for a developer
    assert all(line.startswith(("{", *announced)) for line in log.splitlines())
    line = next(line for line in reversed(server.lines()) if line["event"] == "request")
    assert (line["path"], line["status"]) == ("/api/chat-history/", 401)


def test_wrong_schema_is_one_line_and_no_server(tmp_path: Path) -> None:
    server = Server(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    server.spawn()
    assert server.process.wait(30) != 0
    assert "run `flask db upgrade`" in server.log()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"APP_ENV": "production"}, ["SECRET_KEY", "JWT_SECRET_KEY"]),
        (
            {"APP_ENV": "production", "SECRET_KEY": "short", "JWT_SECRET_KEY": "x" * 40},
            ["SECRET_KEY", "JWT_SECRET_KEY"],
        ),
        ({"PORT": "http"}, ["PORT"]),
        ({"WEB_CONCURRENCY": "2"}, ["WEB_CONCURRENCY"]),
        ({"LLM": "a", "EMBEDDER": "b", "VECTOR_STORE": "c"}, ["LLM", "EMBEDDER", "VECTOR_STORE"]),
    ],
)
def test_bad_settings_are_a_line_each_and_the_port_never_opens(
    tmp_path: Path, settings: dict[str, str], named: list[str]
) -> None:
    port = free_port()
    server = Server(tmp_path, **{"BASE_URL": f"http://127.0.0.1:{port}", "BCRYPT_ROUNDS": "12", **settings})
    started = time.monotonic()
    server.spawn()
    while server.process.poll() is None:
        with pytest.raises(OSError):
            call(port, "GET", "/healthz", seconds=1)
    assert time.monotonic() - started < 3
    assert server.process.returncode == 78
    said = server.log().splitlines()
    assert [line.partition(":")[0] for line in said] == named
