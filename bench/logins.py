"""Storms of logins beside 64 streams: `python -m bench.logins`, on one worker with SQLite and on two with PostgreSQL.

The hash has its default cost (bcrypt 12). How many logins are done in a second is told beside what bcrypt alone does on
a thread here; then streams are asked quiet, beside 16 and beside 50 clients who log in again and again, in turns: how
long the first token takes, and the longest time without text. Whoever storms is a process of his own.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import bcrypt

from bench.report import Report
from bench.streams import FIRST, INTERVAL, SAID, TOKENS, WORKERS, Seen, percentile, targets, wave
from tests.support.chaos import stack
from tests.support.processes import ROOT, Server, Upstream, call, running

STREAMS = 64
STORMS = (0, 16, 50)  # clients who log in at a time
MAX_RATIO = 1.5  # of the quiet 99th percentile of the first token
MAX_GAP_MS = 100.0  # ms between two pieces of text
MIN_SHARE = 0.9  # of what bcrypt alone does, for each hashing thread
SECONDS = 10.0  # of a storm whose logins are counted
WARM = 1.0  # seconds of it that are not


def storm(port: int, logins: int) -> float:
    """Let so many clients log in again and again until standard input closes; returns logins per second."""
    account = {"email": "ada@example.org", "password": "a sound passphrase"}
    stop = threading.Event()
    done = list[float]()

    def work() -> None:
        while not stop.is_set():
            if call(port, "POST", "/api/users/login/", account, seconds=120)[0] == 200:
                done.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(logins)]
    started = time.monotonic() + WARM
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join()
    # What was under way when it ended is not counted: the last ones have a worker of two to themselves.
    return sum(started < one < ended for one in done) / max(ended - started, WARM)


class Storm:
    """A storm in a process of its own."""

    def __init__(self, server: Server, logins: int) -> None:
        command = [sys.executable, "-m", "bench.logins", str(server.port), str(logins)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self) -> float:
        """End it; returns logins per second."""
        return float(self._process.communicate()[0])


def bare(threads: int, seconds: float) -> float:
    """Return how many hashes of the default cost bcrypt alone makes in a second, on so many threads together."""
    hashed = bcrypt.hashpw(b"a sound passphrase", bcrypt.gensalt(12))
    counts = list[int]()
    until = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < until:
            bcrypt.checkpw(b"a sound passphrase", hashed)
            counts.append(1)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(counts) / seconds


def rate(kind: str, server: Server, report: Report) -> None:
    """Report the logins in a second, beside bcrypt alone on as many threads in the same run."""
    threads = len(server.workers())
    shares = []
    for _ in range(3):
        alone = bare(threads, SECONDS / 2)
        logins = Storm(server, 16)
        time.sleep(SECONDS)
        shares.append(logins.end() / alone)
    report.tell(f"{kind}: logins, of bare bcrypt on as many threads", statistics.median(shares), "", MIN_SHARE)


def measure(kind: str, rounds: int, report: Report) -> None:
    """Measure one stack."""
    upstream = Upstream("--first", str(FIRST), "--interval", str(INTERVAL), "--tokens", str(TOKENS))
    found: dict[int, list[Seen]] = {logins: [] for logins in STORMS}
    try:
        with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as base:
            settings = {"OPENAI_BASE_URL": upstream.url, "LOG_LEVEL": "warning", "BCRYPT_ROUNDS": "12"}
            with running(Path(name), **settings, **base, **WORKERS[kind]) as server:
                target = targets(server, upstream)[1]
                lasts = FIRST + INTERVAL * TOKENS
                wave(target, STREAMS, lasts, TOKENS)  # warm
                rate(kind, server, report)
                for _ in range(rounds):
                    for logins in STORMS:
                        beside = Storm(server, logins)
                        time.sleep(1.0)
                        found[logins].append(wave(target, STREAMS, lasts, TOKENS))
                        beside.end()
    finally:
        upstream.stop()
    quiet = 0.0
    for logins, waves in found.items():
        p99 = statistics.median(percentile(seen.first, 0.99) for seen in waves)
        gap = statistics.median(max(seen.gaps) * 1000 for seen in waves)
        quiet = quiet or p99
        name = f"{kind}: {logins} logins beside {STREAMS} streams"
        report.tell(f"{name}: first token p99, of quiet", p99 / quiet, "x", MAX_RATIO, more=False)
        report.tell(f"{name}: longest time without text", gap, "ms", MAX_GAP_MS, more=False)
        report.tell(f"{name}: wrong texts", sum(len(seen.wrong) for seen in waves), "", 0, more=False)


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    report = Report("logins")
    for kind, said in SAID.items():
        print(f"{said}, medians of 5 rounds")
        measure(kind, 5, report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(storm(int(sys.argv[1]), int(sys.argv[2])))
    else:
        sys.exit(main())
