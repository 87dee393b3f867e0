"""TLS to a checked place: the certificate is the name's, and deadlines hold under gevent too."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chatbot.rag.errors import AddressRefused
from chatbot.rag.http.fetch import Limits, fetch
from chatbot.rag.http.wire import BoundedConnection
from tests.rag.loaders.web import PUBLIC, Endless, Names, answer, catch_all, quickest, web

ROOT = Path(__file__).resolve().parents[3]
LIMITS = Limits(connect=10.0, total=20.0)  # time for a machine that stands still for a moment
SOON = 0.8  # seconds in which what has a deadline of 0.2 to 0.5 must have ended, the machine's standing still aside
# A TLS record that comes byte by byte is one read: each byte begins gevent's timeout anew.
TRICKLE = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, socket, time
from chatbot.rag.errors import AddressRefused
from chatbot.rag.http.fetch import Limits, fetch

def trickle(listener):
    connection, _ = listener.accept()
    connection.recv(65536)
    try:
        connection.sendall(b"\\x16\\x03\\x03\\x3f\\xff\\x02\\x00\\x3f\\xfb")
        while True:
            gevent.sleep(0.02)
            connection.sendall(b"a")
    except OSError:
        pass

listener = socket.create_server(("127.0.0.1", 0))
gevent.spawn(trickle, listener)
server = "127.0.0.1:%d" % listener.getsockname()[1]
started = time.monotonic()
try:
    fetch(f"https://{server}/", allowed_hosts=frozenset({server}), limits=Limits(connect=0.3, total=0.5))
except AddressRefused:
    print(time.monotonic() - started)
"""


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_tls_asks_for_the_name_and_checks_its_certificate(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web(answer(b"secret"), context=server_context(pem)) as server:
        catch_all(server, monkeypatch)
        with pytest.raises(AddressRefused) as unknown:
            fetch("https://docs.test/", allowed_hosts=None, resolve=Names([PUBLIC]), limits=LIMITS)
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        got = fetch("https://docs.test/a", allowed_hosts=None, resolve=Names([PUBLIC]), limits=LIMITS)
        with pytest.raises(AddressRefused) as foreign:
            fetch("https://other.test/", allowed_hosts=None, resolve=Names([PUBLIC]), limits=LIMITS)
    assert (got.data, got.url) == (b"secret", "https://docs.test/a")
    assert server.names == ["docs.test", "docs.test", "other.test"]
    assert server.dialled == [(PUBLIC, 443)] * 3
    assert isinstance(unknown.value.__cause__, ssl.SSLCertVerificationError)
    assert isinstance(foreign.value.__cause__, ssl.SSLCertVerificationError)
    assert [request.splitlines()[1] for request in server.requests] == [b"Host: docs.test"]


def test_slow_body_over_tls_is_cut_at_the_deadline(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    def cut() -> None:
        slow = Endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a", pause=0.02)
        with web(slow, context=server_context(pem)) as server:
            catch_all(server, monkeypatch)
            with pytest.raises(AddressRefused) as caught:
                fetch("https://docs.test/", allowed_hosts=None, resolve=Names([PUBLIC]), limits=Limits(total=0.4))
        assert isinstance(caught.value.__cause__, TimeoutError)

    assert 0.4 <= quickest(cut, SOON) < SOON


def test_handshake_that_trickles_is_cut_under_gevent() -> None:
    command = [sys.executable, "-c", TRICKLE]
    seconds = []
    while len(seconds) < 3 and min(seconds, default=SOON) >= SOON:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
        seconds.append(float(done.stdout))
    assert 0.3 <= min(seconds) < SOON


@pytest.mark.parametrize(
    ("url", "resolve"),
    [("http://docs.test/", lambda *_, **__: threading.Event().wait(20)), ("https://docs.test/", Names([PUBLIC]))],
)
@pytest.mark.parametrize("limits", [Limits(connect=0.2), Limits(total=0.2)])
def test_resolver_and_handshake_have_the_time_to_connect_and_no_more(
    url: str, resolve: Any, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> None:
        with web(answer()) as server:
            catch_all(server, monkeypatch)  # a server that waits for more than a handshake
            with pytest.raises(AddressRefused):
                fetch(url, allowed_hosts=None, resolve=resolve, limits=limits)

    assert 0.2 <= quickest(cut, SOON) < SOON


def test_time_to_connect_is_shared_by_the_first_places_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = "1.1.1.1"
    timeouts: list[float | None] = []
    with web(answer()) as server:
        catch_all(server, monkeypatch)
        landing = socket.socket.connect

        def connect(self: socket.socket, place: tuple[str, int]) -> None:
            timeouts.append(self.gettimeout())
            if place[0] == silent:
                raise TimeoutError
            landing(self, place)

        monkeypatch.setattr(socket.socket, "connect", connect)
        got = fetch("http://docs.test/", allowed_hosts=None, resolve=Names([silent, PUBLIC]), limits=LIMITS)
        assert got.data == b"whole"
        assert timeouts == pytest.approx([5, 10], abs=1.5)
        del timeouts[:]
        for places in ([silent] * 1_000, []):
            with pytest.raises(AddressRefused):
                fetch("http://docs.test/", allowed_hosts=None, resolve=Names(places), limits=LIMITS)
        assert timeouts == pytest.approx([2.5, 3.33, 5, 10], abs=1.5)


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "no such host"), UnicodeError("label too long")])
def test_host_that_is_not_resolved_is_refused_at_once(error: Exception) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        raise error

    with pytest.raises(AddressRefused) as caught:
        fetch("http://docs.test/", allowed_hosts=None, resolve=resolve)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(("seconds", "expected"), [(0, TimeoutError), (1_000, ConnectionResetError)])
def test_byte_after_the_cut_is_a_timeout_past_the_deadline_alone(seconds: int, expected: type[OSError]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            client.shutdown(socket.SHUT_RDWR)  # as the watchdog does
            server.sendall(b"H")  # Linux answers with a reset, which the client's next read meets
            with pytest.raises(OSError) as raised:
                BoundedConnection(client, time.monotonic() + seconds).readinto(bytearray(1))
    assert type(raised.value) is expected
