"""Attacks of one address and one user at full size: an honest client's waits meanwhile, and memory after.

Prints for each attack, or for those that are named, the slowest answer of `/healthz` (must: .5 s), the median time of
another user's chat beside the quiet one (must: 1.5), and how much more memory the worker has 30 s later.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.hostile.attack import ATTACKER, HONEST, Watch, flood, request, send_pdf, slow_pdf
from tests.support.processes import Server, Upstream, running

MAX_HEALTH_SECONDS = 0.5
MAX_RATIO = 1.5
CHATS = 15
LATER_SECONDS = 30.0
MAX_GROWN_BYTES = 50 << 20
Attack = Callable[[Server, str], AbstractContextManager[Any]]


def stalled_bodies(server: Server, _token: str) -> AbstractContextManager[Any]:
    """Send one byte of a body and no more."""
    return flood(server, 4_300, request("POST", "/api/users/login/", length=500) + b"{")


def idle_connections(server: Server, _token: str) -> AbstractContextManager[Any]:
    """Open connections and send nothing."""
    return flood(server, 2_000, b"")


def slow_headers(server: Server, _token: str) -> AbstractContextManager[Any]:
    """Send a part of a header and no more."""
    return flood(server, 300, b"GET /healthz HTTP/1.1\r\nX-Slow: ")


def unread_streams(server: Server, token: str) -> AbstractContextManager[Any]:
    """Ask for streamed answers and read nothing of them."""
    body = b'{"message": "Hi", "stream": true}'
    return flood(server, 200, request("POST", "/api/chat/", token, length=len(body)) + body, receive_buffer=4096)


def unread_pages(server: Server, token: str) -> AbstractContextManager[Any]:
    """Ask for pages of a long history and read nothing of them."""
    return flood(server, 40, request("GET", "/api/chat-history/?limit=100", token), receive_buffer=4096)


def stalled_uploads(server: Server, token: str) -> AbstractContextManager[Any]:
    """Send the beginning of an upload and no more."""
    head = request("POST", "/api/documents/", token, Content_Type="multipart/form-data; boundary=x")
    return flood(server, 50, head[:-2] + b"Content-Length: 5000000\r\n\r\n--x\r\n")


@contextmanager
def event_streams(server: Server, token: str) -> Iterator[None]:
    """Follow one document behind others that take minutes to read."""
    sent = [send_pdf(server, token, slow_pdf() + b"%%%d" % number)[1]["id"] for number in range(4)]
    with flood(server, 600, request("GET", f"/api/documents/{sent[-1]}/events/", token)):
        yield
    for document in sent:
        server.call("DELETE", f"/api/documents/{document}/", None, token, source=ATTACKER)


@contextmanager
def asynchronous_messages(server: Server, token: str) -> Iterator[None]:
    """Send messages without waiting for their answers."""
    options: dict[str, Any] = {"headers": {"Prefer": "respond-async"}, "source": ATTACKER}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: server.call("POST", "/api/chat/", {"message": str(n)}, token, **options), range(60)))
    yield


ATTACKS: list[Attack] = [
    stalled_bodies,
    idle_connections,
    slow_headers,
    unread_streams,
    unread_pages,
    stalled_uploads,
    event_streams,
    asynchronous_messages,
]


def seconds_of_chats(server: Server, token: str) -> float:
    """Return the median time of a chat of the honest user."""
    times = []
    for _ in range(CHATS):
        started = time.monotonic()
        assert server.call("POST", "/api/chat/", {"message": "Hi"}, token, source=HONEST)[0] == 200
        times.append(time.monotonic() - started)
        time.sleep(0.1)
    return statistics.median(times)


def fill(server: Server, token: str) -> None:
    """Write a history of long turns."""
    for number in range(20):
        body = {"message": f"{number} " + "\U0001f600" * 31_000}
        server.call("POST", "/api/chat/", body, token, source=ATTACKER, seconds=60)


def measure(server: Server, attack: Attack, mallory: str, honest: str) -> bool:
    """Measure one attack and print its figures; return whether a must was missed."""
    worker = psutil.Process(server.workers()[0])
    quiet = seconds_of_chats(server, honest)
    before = worker.memory_info().rss
    with Watch(server) as watch, attack(server, mallory):
        busy = seconds_of_chats(server, honest)
    time.sleep(LATER_SECONDS)
    grown = worker.memory_info().rss - before
    is_missed = watch.slowest > MAX_HEALTH_SECONDS or busy > MAX_RATIO * quiet or grown > MAX_GROWN_BYTES
    print(
        f"{attack.__name__:22} healthz {watch.slowest:.3f} s  chat {busy * 1000:.0f} ms, quiet {quiet * 1000:.0f} ms: "
        f"{busy / quiet:.2f}  memory {grown / 2**20:+.1f} MB  {'MISSED' if is_missed else 'held'}",
        flush=True,
    )
    return is_missed


def main() -> int:
    """Measure all attacks; return 1 where a must was missed."""
    upstream = Upstream("--first", "0.2", "--interval", "0.02", "--tokens", "20")
    limits = {
        "RATE_CHAT_USER": "1000 per minute",
        "RATE_SIGNUP_ADDRESS": "100 per minute",
        "RATE_CHAT_ADDRESS": "1000 per minute",
    }
    settings = {"OPENAI_BASE_URL": upstream.url, "RATELIMIT_ENABLED": "true", **limits}
    try:
        with tempfile.TemporaryDirectory() as name, running(Path(name), **settings) as server:
            honest = server.sign_in("honest", source=HONEST)
            missed = 0
            for attack in [one for one in ATTACKS if one.__name__ in sys.argv[1:] or not sys.argv[1:]]:
                mallory = server.sign_in(attack.__name__, source=HONEST)  # the attacker used its logins up
                if attack is unread_pages:
                    fill(server, mallory)
                missed += measure(server, attack, mallory, honest)
    finally:
        upstream.stop()
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
