"""The transport and its pool, against small servers over sockets."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from chatbot.rag.http import pool as transport
from chatbot.rag.http.pool import Pool
from tests.support.processes import free_port

TIMEOUT = {"timeout": {"connect": 1.0, "read": 0.5, "write": 1.0, "pool": 1.0}}
PATIENT = {"timeout": {"connect": 30.0, "read": 30.0, "write": 30.0, "pool": 30.0}}  # for 64 threads on two cores
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n"


class Peer:
    """A server that answers each request with the next of its answers, and counts its connections."""

    def __init__(self, listener: socket.socket, answers: list[bytes]) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1?a=b"
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = iter(answers)
        self._listener = listener

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65_536):
                while not data.endswith(b"{}"):
                    more = connection.recv(65_536)
                    if not more:  # the client has left in the middle
                        return
                    data += more
                self.requests.append(data)
                reply = next(self._answers)
                connection.sendall(reply.removesuffix(b"[cut]"))
                if reply.endswith(b"[cut]") or b"onnection: close" in reply:
                    return


@contextmanager
def peer(*answers: bytes) -> Iterator[Peer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Peer(listener, list(answers))
    threading.Thread(target=server.serve, daemon=True).start()
    yield server
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def ask(pool: Pool, url: str, read: bool = True, extensions: Mapping[str, Any] = TIMEOUT) -> httpx2.Response:
    response = pool.handle_request(httpx2.Request("POST", url, content=b"{}", extensions=dict(extensions)))
    if read:
        response.read()
    response.close()
    return response


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def test_connection_that_was_read_to_its_end_serves_the_next_request(pool: Pool) -> None:
    with peer(WHOLE, CHUNKED, WHOLE) as server:
        assert [ask(pool, server.url).content for _ in range(3)] == [b"whole", b"chunks", b"whole"]
        assert server.connections == 1
        assert server.requests[0].startswith(b"POST /v1?a=b HTTP/1.1\r\n")
        assert b"\r\nContent-Length: 2\r\n" in server.requests[0]
        assert server.requests[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("rest", [b"late answer", b""])
def test_connection_that_was_not_read_to_its_end_serves_nobody_else(pool: Pool, rest: bytes) -> None:
    with peer(CHUNKED[:-5] + rest, WHOLE) as server:
        ask(pool, server.url, read=False)
        assert ask(pool, server.url).content == b"whole"
        assert server.connections == 2


def test_something_that_came_unasked_is_no_answer_to_the_next_request(pool: Pool) -> None:
    with peer(WHOLE + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", WHOLE) as server:
        ask(pool, server.url)
        assert ask(pool, server.url).content == b"whole"


def test_connection_that_the_server_closed_serves_nobody_else(pool: Pool) -> None:
    with peer(WHOLE + b"[cut]", WHOLE) as server:
        ask(pool, server.url)
        assert ask(pool, server.url).content == b"whole"
        assert server.connections == 2


def test_answer_that_ends_with_its_connection_is_read_whole(pool: Pool) -> None:
    with peer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", WHOLE) as server:
        assert ask(pool, server.url).content == b"to the end"
        assert ask(pool, server.url).content == b"whole"


def test_only_so_many_connections_rest(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_IDLE_CONNECTIONS", 0)
    with peer(WHOLE, WHOLE) as server:
        assert [ask(pool, server.url).content for _ in range(2)] == [b"whole", b"whole"]
        assert server.connections == 2


def test_64_threads_get_each_their_own_answer(pool: Pool) -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d" % number for number in range(320)]
    found: list[bytes] = []

    def work() -> None:
        found.extend(ask(pool, server.url, extensions=PATIENT).content for _ in range(5))

    with peer(*answers) as server:
        threads = [threading.Thread(target=work) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [b"%04d" % number for number in range(320)]


def test_interim_answer_is_never_followed_by_somebody_elses(pool: Pool) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    with peer(hints, WHOLE) as server:
        with pytest.raises(httpx2.RemoteProtocolError):
            ask(pool, server.url)
        assert ask(pool, server.url).content == b"whole"
        assert server.connections == 2


def test_connection_that_rested_long_is_not_trusted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.0)
    with peer(WHOLE, WHOLE) as server:
        assert [ask(pool, server.url).content for _ in range(2)] == [b"whole", b"whole"]
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"[cut]", httpx2.ReadError),
        (b"garbage\r\n\r\n[cut]", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf[cut]", httpx2.RemoteProtocolError),
        (CHUNKED[:-8] + b"[cut]", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n[cut]", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\n", httpx2.ReadTimeout),
    ],
)
def test_fault_is_an_error_of_httpx2(pool: Pool, answer: bytes, error: type[Exception]) -> None:
    with peer(answer) as server, pytest.raises(error):
        ask(pool, server.url)


def test_nobody_listens(pool: Pool) -> None:
    with pytest.raises(httpx2.ConnectError):
        ask(pool, f"http://127.0.0.1:{free_port()}/")


def test_https_is_spoken_with_certificates_checked(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    create: Callable[[], ssl.SSLContext] = httpx2.create_ssl_context

    def look() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(httpx2, "create_ssl_context", look)
    with peer(WHOLE) as server, pytest.raises(httpx2.TransportError):
        ask(pool, server.url.replace("http:", "https:"))
    assert (made[0].verify_mode, made[0].check_hostname) == (ssl.CERT_REQUIRED, True)


def test_without_timeouts_in_the_request_there_are_none(pool: Pool) -> None:
    with peer(WHOLE) as server:
        request = httpx2.Request("POST", server.url, content=b"{}")
        response = pool.handle_request(request)
        assert response.read() == b"whole"
        response.close()
