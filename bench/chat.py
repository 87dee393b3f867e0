"""`make bench`: chat requests per second and added latency, beside the upstream itself and the plain view.

Everything runs on this machine. The three are loaded in turns, several rounds, and medians are told. The
run fails when any answer is not the answer to its own question, or when a bound of the issue is missed.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.load import Result, Target, load
from bench.report import Report
from bench.streams import memory
from tests.support.chaos import stack
from tests.support.processes import ROOT, Server, Upstream, call, free_port, running

CLIENTS = 64
MANY_CLIENTS = 256  # clients
MAX_ADDED_MS = 20.0  # milliseconds at the median, 64 clients and an upstream of 500 ms
MIN_RATE = {"chatbot": 300, "on PostgreSQL": 250}  # requests/s, 64 clients and an upstream of 0 ms
MIN_SHARE = 0.6  # of the upstream's own requests/s, 256 clients and an upstream of 500 ms
Rounds = dict[str, list[Result]]


@contextlib.contextmanager
def plain(folder: Path, upstream: Upstream) -> Iterator[int]:
    """Run the plain view as its authors would: threads, as many as there are clients."""
    port = free_port()
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "none",
        "PLAIN_DATABASE": str(folder / "plain.db"),
    }
    options = f"--bind 127.0.0.1:{port} --workers 2 --threads {CLIENTS // 2} --no-control-socket --keep-alive 15"
    command = [sys.executable, "-m", "gunicorn", *options.split(), "bench.plain:app"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=(folder / "plain.log").open("w"))
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if call(port, "GET", "/readyz")[0] == 200:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def direct_text(body: bytes) -> str:
    """Return the text of an event stream of chat-completion chunks."""
    events = (json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {"))
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


def targets(server: Server, cluster_: Server, upstream: Upstream, plain_port: int) -> list[Target]:
    """Return the targets: one worker on SQLite, two on PostgreSQL and Redis, the plain view and the upstream."""

    def completion(question: str) -> dict[str, Any]:
        return {"model": "m", "stream": True, "messages": [{"role": "user", "content": question}]}

    def answer(body: bytes) -> str:
        return str(json.loads(body)["bot_response"])

    def message(question: str) -> dict[str, object]:
        return {"message": question}

    def chatbot(name: str, one: Server) -> Target:
        return Target(name, one.port, "/api/chat/", message, answer, {"Authorization": f"Bearer {one.sign_in()}"})

    return [
        Target("upstream", upstream.port, "/v1/chat/completions", completion, direct_text),
        Target("plain view", plain_port, "/api/chat/", message, answer),
        chatbot("chatbot", server),
        chatbot("on PostgreSQL", cluster_),
    ]


def compare(first: float, seconds: float, rounds: int, clients: int) -> Rounds:
    """Load all in turns with an upstream of so many seconds."""
    found: Rounds = {}
    with contextlib.ExitStack() as held:
        folders = [Path(held.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        upstream = Upstream("--first", str(first))
        held.callback(upstream.stop)
        settings = {"OPENAI_BASE_URL": upstream.url, "LOG_LEVEL": "warning"}
        server = held.enter_context(running(folders[0], **settings))
        many = held.enter_context(stack("hosts", folders[1])) | {"WEB_CONCURRENCY": "2"}
        cluster_ = held.enter_context(running(folders[1], **settings, **many))
        compared = targets(server, cluster_, upstream, held.enter_context(plain(folders[0], upstream)))
        for target in compared:
            load(target, clients, 1.0)  # warm
        for number in range(rounds):
            turned = number % len(compared)
            for target in compared[turned:] + compared[:turned]:
                found.setdefault(target.name, []).append(load(target, clients, seconds, first))
    return found


def median(results: list[Result], figure: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(getattr(result, figure) for result in results)


def tell(title: str, clients: int, found: Rounds) -> None:
    """Print one table."""
    rounds = f"{os.cpu_count()} cores, median of {len(found['chatbot'])} rounds"
    print(f"\n{title}, {clients} clients that begin one after another within that time, {rounds}")
    print(f"{'':14}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'of upstream':>13}{'added p50':>11}")
    base = median(found["upstream"], "rate")
    wait = median(found["upstream"], "p50")
    for name, results in found.items():
        rate, p50, p99 = (median(results, figure) for figure in ("rate", "p50", "p99"))
        print(f"{name:14}{rate:12.0f}{p50:10.1f}{p99:10.1f}{rate / base:13.2f}{p50 - wait:11.1f}")


def boot(rounds: int) -> tuple[float, float]:
    """Return the seconds from the start of gunicorn to its first 200, and MB of its worker, without the model."""
    times = []
    sizes = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            server = Server(Path(name), OPENAI_BASE_URL="http://127.0.0.1:9/v1").migrate()
            started = time.monotonic()
            server.start()
            times.append(time.monotonic() - started)
            sizes.append(memory(server.workers()))
            server.stop()
    return statistics.median(times), statistics.median(sizes)


def generation() -> float:
    """Return the embedded model's tokens per second, one answer at a time, as its server counts them."""
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as server:
        token = server.sign_in()
        while "Chatbot API listens" not in server.log():
            time.sleep(0.1)
        tokens = seconds = 0.0
        for subject in ("the sea", "a small town", "winter", "bread", "the moon"):
            started = time.monotonic()
            turn = server.call(
                "POST", "/api/chat/", {"message": f"Write a long story about {subject}."}, token, seconds=120
            )[2]
            seconds += time.monotonic() - started
            tokens += turn["usage"]["completion_tokens"]
    return tokens / seconds


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    fast = compare(0.0, options.seconds, options.rounds, CLIENTS)
    tell("Upstream of 0 ms", CLIENTS, fast)
    slow = compare(0.5, options.seconds, options.rounds, CLIENTS)
    tell("Upstream of 500 ms", CLIENTS, slow)
    many = compare(0.5, options.seconds, options.rounds, MANY_CLIENTS)
    tell("Upstream of 500 ms", MANY_CLIENTS, many)
    report = Report("chat")
    for title, clients, found in (("0 ms", CLIENTS, fast), ("500 ms", CLIENTS, slow), ("500 ms", MANY_CLIENTS, many)):
        for name, results in found.items():
            report.tell(f"upstream of {title}, {clients} clients: {name}", median(results, "rate"), "requests/s")
    ahead = median(fast["chatbot"], "rate") / median(fast["plain view"], "rate")
    report.tell("requests/s, of the plain view's, upstream of 0 ms", ahead, "x", 1)
    added = median(slow["chatbot"], "p50") - median(slow["upstream"], "p50")
    report.tell("added at the median, upstream of 500 ms", added, "ms", MAX_ADDED_MS, more=False)
    for name, least in MIN_RATE.items():
        report.tell(f"requests/s, {name}, upstream of 0 ms", median(fast[name], "rate"), "", least)
    for name in MIN_RATE:
        share = median(many[name], "rate") / median(many["upstream"], "rate")
        report.tell(f"of the upstream's requests/s, {name}, {MANY_CLIENTS} clients", share, "x", MIN_SHARE)
    seconds, size = boot(options.rounds)
    report.tell("from start to the first 200, without the model", seconds, "s", 3, more=False)
    report.tell("memory of the worker then", size, "MB", 200, more=False)
    report.tell("tokens/s of the embedded model", generation(), "", 20)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
