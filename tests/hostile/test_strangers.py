"""Attacks that need no account: each is bounded, and an honest client is served meanwhile."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import PASSWORD
from tests.hostile.attack import ATTACKER, BOUNDED, HEALTH_SECONDS, HONEST, Watch, connect, flood, request, status
from tests.support.processes import Server, Upstream, running
from tests.support.redis_server import RedisServer
from tests.support.waiting import let_pass

MARKS = "a" + "\u0301" * 1300 + "\u0316" * 1300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    upstream = Upstream()
    bounds = {"BODY_READ_SECONDS": "1", "BODY_TOTAL_SECONDS": "3", "SEND_SECONDS": "2", "CONNECTIONS_PER_ADDRESS": "50"}
    folder = tmp_path_factory.mktemp("strangers")
    with running(folder, OPENAI_BASE_URL=upstream.url, **BOUNDED, **bounds) as started:
        yield started
    upstream.stop()


def is_served(server: Server, name: str) -> bool:
    """Return whether a client at another address can sign up, log in and chat."""
    token = server.sign_in(name, source=HONEST)
    return server.call("POST", "/api/chat/", {"message": "Hi"}, token, source=HONEST)[0] == 200


@pytest.mark.parametrize("route", ["signup", "login", "refresh"])
def test_text_that_is_slow_to_normalise_holds_nobody(server: Server, route: str) -> None:
    """A1: 64 KB of combining marks in turn held the process for 12 s."""
    names = ("email", "username", "password", "password_confirm", "refresh_token")
    with Watch(server) as watch:
        for size in (len(MARKS), 80_000):
            body = dict.fromkeys(names, (MARKS * 32)[:size])
            answer = server.call("POST", f"/api/users/{route}/", body, source=ATTACKER)
            assert answer[0] in {400, 413}
    assert watch.slowest < HEALTH_SECONDS


def test_malformed_chunk_does_not_make_the_limits_forget(tmp_path: Path, own_redis: RedisServer) -> None:
    """A2: an error in a limit's key was taken for a dead storage, and everything was counted anew in memory."""
    limits = {"RATELIMIT_ENABLED": "true", "RATE_LOGIN_ADDRESS": "3 per minute", "REDIS_URL": own_redis.url}
    guess = {"email": "a@example.org", "password": "guess guess"}
    with running(tmp_path, **limits) as server:
        assert [server.call("POST", "/api/users/login/", guess)[0] for _ in range(2)] == [401, 401]
        with connect(server, "127.0.0.1") as broken:
            head = request("POST", "/api/users/login/", Transfer_Encoding="chunked", Content_Type="application/json")
            broken.sendall(head + b"nonsense\r\n\r\n")
            assert status(broken) == 400
        assert [server.call("POST", "/api/users/login/", guess)[0] for _ in range(2)] == [429, 429]
        assert server.call("POST", "/api/users/login/", guess, source=HONEST)[0] == 401


@pytest.mark.parametrize("path", ["/api/users/login/", "/api/users/signup/"])
def test_body_that_never_comes_is_given_up(server: Server, path: str) -> None:
    """A3: there was no deadline for bodies."""
    started = time.monotonic()
    with connect(server) as silent:
        silent.sendall(request("POST", path, length=500) + b"{")
        received = b""
        while piece := silent.recv(65_536):  # until it is closed: where the next request would begin is unknown
            received += piece
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in received
        assert b"Retry-After: " in received
    assert 0.9 < time.monotonic() - started < 2.5


def test_body_that_trickles_is_given_up_as_a_whole(server: Server) -> None:
    started = time.monotonic()
    with connect(server) as slow:
        slow.sendall(request("POST", "/api/users/login/", length=500))
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                slow.sendall(b" ")
                let_pass(0.25)
        assert time.monotonic() - started < 4.5
        assert status(slow) == 408


def test_body_that_is_slow_but_steady_is_read(server: Server) -> None:
    body = b'{"email": "nobody@example.org", "password": "guess guess"}'
    with connect(server, HONEST) as slow:
        slow.sendall(request("POST", "/api/users/login/", length=len(body)))
        for start in range(0, len(body), 20):
            slow.sendall(body[start : start + 20])
            let_pass(0.3)
        assert status(slow) == 401


def test_one_address_cannot_take_all_connections(server: Server) -> None:
    stalled = request("POST", "/api/users/login/", length=500) + b"{"
    with Watch(server) as watch, flood(server, 80, stalled) as connections:
        answers = [status(connection) for connection in connections]
        assert answers.count(429) + answers.count(0) >= 30
        assert is_served(server, "flooded")
    assert watch.slowest < HEALTH_SECONDS
    with connect(server) as refused_no_more:
        refused_no_more.sendall(request("GET", "/healthz"))
        assert status(refused_no_more) == 200


def test_stalled_bodies_and_slow_headers_leave_room_for_others(server: Server) -> None:
    with Watch(server) as watch:
        for sent in (b"", b"GET /healthz HTT", request("GET", "/healthz", X_Slow="a")[:-2]):
            with flood(server, 60, sent):
                assert is_served(server, f"slow{len(sent)}")
    assert watch.slowest < HEALTH_SECONDS


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/api/users/login/"])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_nobody_reads_holds_nobody(server: Server, path: str, *, chunked: bool) -> None:
    """gunicorn read it to its end before the next request, and a socket that always has data yields to no other."""
    piece = b"1\r\na\r\n" * 10_000 if chunked else b"a" * 65_536
    head = request("POST", path, Transfer_Encoding="chunked") if chunked else request("POST", path, length=8 << 30)
    started = time.monotonic()
    with Watch(server) as watch, connect(server) as endless, contextlib.suppress(OSError):
        endless.sendall(head)
        while time.monotonic() - started < 5:
            endless.sendall(piece)
    assert time.monotonic() - started < 5  # the server has closed the connection
    assert watch.slowest < HEALTH_SECONDS


def test_small_body_that_nobody_reads_keeps_the_connection(server: Server) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", server.port, source_address=(HONEST, 0), timeout=20)
    with contextlib.closing(kept):
        ports = set()
        for _ in range(3):
            kept.request("POST", "/nowhere", b"a" * 2_000)
            ports.add(kept.sock.getsockname())
            response = kept.getresponse()
            response.read()
            assert response.status == 404
    assert len(ports) == 1


def test_long_lists_in_headers_hold_nobody(server: Server) -> None:
    with Watch(server) as watch:
        for name in ("Accept", "Access-Control-Request-Headers", "Accept-Language"):
            with connect(server) as long:
                lines = f"{name}: {'a/b;q=0.1,' * 400}\r\n" * 50
                origin = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: POST\r\n"
                long.sendall(request("OPTIONS", "/api/chat/")[:-2] + (origin + lines + "\r\n").encode())
                assert status(long) == 200
    assert watch.slowest < HEALTH_SECONDS


def test_guesses_from_many_addresses_let_others_log_in(tmp_path: Path) -> None:
    """All hashes waited in one line, of which twenty addresses took every place: the others got 503."""
    bounds = {"RATE_LOGIN_GLOBAL": "10 per minute", "BCRYPT_ROUNDS": "12"}
    guess = {"email": "somebody@example.org", "password": "guess guess"}
    addresses = [f"127.0.1.{number}" for number in range(1, 21)]
    is_over = threading.Event()
    answers: list[int] = []

    def attack(address: str) -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError):
                answers.append(server.call("POST", "/api/users/login/", guess, source=address)[0])

    def seconds_of_a_login(source: str) -> float:
        started = time.monotonic()
        mine = {"email": "honest@example.org", "password": PASSWORD}
        assert server.call("POST", "/api/users/login/", mine, source=source, seconds=60)[0] == 200
        return time.monotonic() - started

    with running(tmp_path, LLM="memory", **{**BOUNDED, **bounds}) as server:
        server.sign_in("honest", source=HONEST)
        with Watch(server) as watch, ThreadPoolExecutor(80) as pool:
            for address in addresses * 4:
                pool.submit(attack, address)
            try:
                let_pass(5)
                known = seconds_of_a_login(HONEST)
                new = seconds_of_a_login("127.0.0.3")
            finally:
                is_over.set()
    assert {401} <= set(answers) <= {401, 429, 503}
    assert known < 3  # hashes of .25 s
    assert new < 20  # a pause of 3 s, then the turns of all addresses before it
    assert watch.slowest < HEALTH_SECONDS


def test_answer_that_is_taken_slowly_but_steadily_is_sent_whole(tmp_path: Path) -> None:
    """SEND_SECONDS were a total for each answer: a page of a megabyte had to be taken at 43 KB a second."""
    with running(tmp_path, LLM="memory", **{**BOUNDED, "SEND_SECONDS": "1"}) as server:
        token = server.sign_in("slow", source=ATTACKER)
        for number in range(6):
            said = {"message": f"{number} " + "\U0001f600" * 31_000}
            assert server.call("POST", "/api/chat/", said, token, source=ATTACKER)[0] == 200
        with connect(server, receive_buffer=16_384) as slow:
            slow.sendall(request("GET", "/api/chat-history/?limit=100", token, Connection="close"))
            received = 0
            started = time.monotonic()
            while piece := slow.recv(16_384):
                received += len(piece)
                let_pass(0.05)
        assert received > 700_000
        assert time.monotonic() - started > 2
        with connect(server) as idle:
            for _ in range(2):
                idle.sendall(request("GET", "/healthz"))
                answer = b""
                while not answer.endswith(b'{"status":"ok"}'):  # head and body may come apart
                    piece = idle.recv(65_536)
                    assert piece, "the server closed a connection that was idle for 2 s"
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 200 ")
                let_pass(2)
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("connections", [1, 40])
@pytest.mark.parametrize(
    "sent",
    [
        b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /api/users/login/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["unknown route", "login"],
)
def test_pipelined_requests_let_others_in(server: Server, sent: bytes, connections: int) -> None:
    """gevent serves a socket that always has data without a break: one connection held all others for as long."""
    is_over = threading.Event()

    def attack() -> None:
        with contextlib.suppress(OSError), connect(server) as pipelined:
            pipelined.setblocking(False)
            while not is_over.is_set():
                with contextlib.suppress(BlockingIOError):
                    pipelined.send(sent * 100)
                with contextlib.suppress(BlockingIOError):
                    if not pipelined.recv(1 << 20):
                        return
                let_pass(0.001)

    with Watch(server) as watch, ThreadPoolExecutor(connections) as pool:
        for _ in range(connections):
            pool.submit(attack)
        let_pass(3)
        watch.wait_for_answers(21)  # of which a busy machine gave 19 in these seconds
        is_over.set()
    assert watch.answers > 20
    assert watch.slowest < HEALTH_SECONDS


@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["unfinished", "whole"])
def test_large_headers_hold_nobody(server: Server, end: bytes) -> None:
    """gunicorn looked through up to 800 KB of headers again with each 8 KB that came."""
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"b" * 8_000) for number in range(98))
    is_over = threading.Event()

    def attack() -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError), connect(server) as large:
                large.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + headers + end)
                large.recv(65_536)

    with Watch(server) as watch, ThreadPoolExecutor(30) as pool:
        for _ in range(30):
            pool.submit(attack)
        let_pass(4)
        is_over.set()
    assert watch.slowest < HEALTH_SECONDS


def test_many_bodies_that_are_given_up_in_one_moment_hold_nobody(tmp_path: Path) -> None:
    bounds = {"BODY_READ_SECONDS": "2", "CONNECTIONS_PER_ADDRESS": "500"}
    with running(tmp_path, LLM="memory", **{**BOUNDED, **bounds}) as server:
        stalled = request("POST", "/api/users/login/", length=500) + b"{"
        with Watch(server) as watch, flood(server, 480, stalled) as connections:
            answers = [status(connection) for connection in connections]
    assert set(answers) == {408}
    assert watch.slowest < HEALTH_SECONDS
