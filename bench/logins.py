"""A storm of logins beside chats: `python -m bench.logins`. FAULTS.md: a chat's p99 stays within 1.5 x the quiet one.

Chats have an upstream that begins after 200 ms; the hash has the default cost (bcrypt 12). Quiet and stormy runs
take turns. Where a chat is not streamed, its time to first byte is the time of its whole answer.
"""

import statistics
import sys
import tempfile
import threading
from pathlib import Path

from bench.chat import targets
from bench.load import Result, load
from tests.processes import Server, Upstream, running

CHATS = 16
MOST = 1.5


def storm(server: Server, logins: int, stop: threading.Event, done: list[int]) -> list[threading.Thread]:
    """Start so many clients that log in again and again, and count what they did."""
    account = {"email": "ada@example.org", "password": "a sound passphrase"}

    def work() -> None:
        while not stop.is_set():
            done.append(server.call("POST", "/api/users/login/", account, seconds=120)[0])

    threads = [threading.Thread(target=work) for _ in range(logins)]
    for thread in threads:
        thread.start()
    return threads


def measure(server: Server, upstream: Upstream, seconds: float, rounds: int) -> dict[int, list[Result]]:
    """Load quiet, beside 16 and beside 50 logins at a time, in turns."""
    target = targets(server, upstream, 0)[2]
    load(target, CHATS, 1.0)
    found: dict[int, list[Result]] = {}
    for _ in range(rounds):
        for logins in (0, 16, 50):
            stop, done = threading.Event(), []
            threads = storm(server, logins, stop, done)
            found.setdefault(logins, []).append(load(target, CHATS, seconds, 0.2))
            stop.set()
            for thread in threads:
                thread.join()
    return found


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    upstream, missed = Upstream("--first", "0.2"), 0
    try:
        with tempfile.TemporaryDirectory() as name:
            settings = {"OPENAI_BASE_URL": upstream.url, "LOG_LEVEL": "warning", "BCRYPT_ROUNDS": "12"}
            with running(Path(name), **settings) as server:
                found = measure(server, upstream, 5.0, 3)
    finally:
        upstream.stop()
    quiet = statistics.median(result.p99 for result in found[0])
    print(f"\n{CHATS} chats, upstream of 200 ms, median of 3 rounds")
    for logins, results in found.items():
        p50, p99 = (statistics.median(getattr(result, figure) for result in results) for figure in ("p50", "p99"))
        held = p99 <= MOST * quiet
        missed += not held
        figures = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {p99 / quiet:.2f} x quiet"
        print(f"{'ok    ' if held else 'MISSED'} {logins:3} logins at a time: {figures}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
