"""`make bench-grown`: pages of long histories and the purge, on made-up data of two million turns, on both databases.

`flask seed bench` makes the data. Pages are read over one connection; the purge of what is older than 30 days runs as
the command does, beside 20 writers who send messages to the server meanwhile.
"""

import argparse
import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.report import Report
from chatbot.services.operations import seeding
from tests.support.chaos import stack
from tests.support.processes import ROOT, Server

PAGES = 200  # pages of each kind that are timed
DEEP = 50  # pages of 100 that are turned before a deep one is timed
WRITERS = 20
PAUSE = 0.25  # seconds between two messages of a writer
NAMES = {0: "half of all turns", 1: "a twentieth", 2: "100 turns"}


class Reader:
    """A user reading the history over one connection."""

    def __init__(self, server: Server, number: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"email": f"bench-{number}@example.com", "password": seeding.PASSWORD}
        token = server.call("POST", "/api/users/login/", body)[2]["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object], float]:
        """Make a request; returns status, body and seconds."""
        started = time.perf_counter()
        self._connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        response = self._connection.getresponse()
        data = response.read()
        return response.status, json.loads(data), time.perf_counter() - started

    def pages(self, order: str) -> tuple[float, float]:
        """Return the median milliseconds of a page at one end, and of one far from it."""
        query = f"/api/chat-history/?limit=20&order={order}"
        first = []
        for _ in range(PAGES):
            first.append(self.call("GET", query)[2] * 1000)
        cursor = None
        for _ in range(DEEP):
            page = self.call(
                "GET", f"/api/chat-history/?limit=100&order={order}" + (f"&cursor={cursor}" if cursor else "")
            )
            cursor = page[1]["next_cursor"] or cursor
        deep = [self.call("GET", f"{query}&cursor={cursor}")[2] * 1000 for _ in range(PAGES)] if cursor else first
        return statistics.median(first), statistics.median(deep)


def writers_beside_a_purge(server: Server, report: Report) -> None:
    """Purge half of the turns while others write; tells how long they wait."""
    stop = threading.Event()
    waits = list[float]()
    wrong = list[int]()

    def write(number: int, reader: Reader) -> None:
        count = itertools.count()
        time.sleep(PAUSE * number / WRITERS)  # or all twenty would come in one moment, again and again
        while not stop.is_set():
            status, _, seconds = reader.call("POST", "/api/chat/", {"message": f"{number} says {next(count)}"})
            waits.append(seconds * 1000)
            if status != 200:
                wrong.append(status)
            time.sleep(PAUSE)

    readers = [Reader(server, number + 3) for number in range(WRITERS)]  # logged in before anything is timed
    threads = [threading.Thread(target=write, args=[number, one]) for number, one in enumerate(readers)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    quiet = sorted(waits)
    before = len(waits)
    started = time.monotonic()
    command = [sys.executable, "-m", "flask", "history", "purge", "--days", "30"]
    done = subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    stop.set()
    for thread in threads:
        thread.join()
    purged = int(done.stdout.split()[1].replace(",", ""))
    busy = sorted(waits[before:])
    report.tell("purge", purged / seconds, "turns/s", 5_000)
    report.tell("purge: writers' p99 without it", quiet[int(len(quiet) * 0.99)], "ms")
    report.tell("purge: writers' p99 beside it", busy[int(len(busy) * 0.99)], "ms", 50, more=False)
    report.tell("purge: writers' messages refused", len(wrong), "", 0, more=False)


def measure(kind: str, turns: int, report: Report) -> None:
    """Fill a database of one kind, and measure reading and purging it."""
    with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as settings:
        settings |= {"RETENTION_DAYS": "36500"}  # the worker's own purge would be first
        server = Server(Path(name), LLM="memory", EMBEDDER="memory", LOG_LEVEL="warning", **settings).migrate()
        started = time.monotonic()
        server.flask("seed", "bench", "--turns", str(turns), "--passages", "0")
        report.tell(f"{kind}: turns made", turns / (time.monotonic() - started), "turns/s")
        server.start()
        try:
            for number, share in NAMES.items():
                for order, said in (("desc", "newest"), ("asc", "oldest")):
                    first, deep = Reader(server, number).pages(order)
                    report.tell(f"{kind}: a page of {share}, {said} first, p50", first, "ms", 8, more=False)
                    report.tell(f"{kind}: the same, {DEEP} pages on", deep, "ms", 8, more=False)
            writers_beside_a_purge(server, report)
        finally:
            server.stop()


def main() -> int:
    """Run it; returns how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2_000_000)
    parser.add_argument("--database", choices=["sqlite", "hosts"], action="append")
    options = parser.parse_args()
    report = Report("grown")
    for kind in options.database or ["sqlite", "hosts"]:
        measure(kind, options.turns, report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
