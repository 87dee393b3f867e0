"""SIGKILL while documents are taken in: in the end each has the passages of an undisturbed run, and no others.

Documents are sent, and replaced again and again, while the worker is killed at random moments; a client sends again what
was not answered, and has tried again what was given up. What they are compared with was taken in before, in quiet.
"""

import contextlib
import http.client
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.processes import Server, Upstream, call
from tests.support.waiting import let_pass, wait_for

DOCUMENTS = 50
CALM = 90.0  # seconds after the last kill: a lease of 15 for each attempt, and a start
LOST = (OSError, http.client.HTTPException, ValueError)  # no whole answer came

Passages = list[dict[str, Any]]


def text(number: int, version: int) -> str:
    """Return a document of a dozen passages under headings."""
    parts = (
        f"## Part {part}\n\n" + f"Document {number} of time {version} tells of {number * part}. " * 25
        for part in range(12)
    )
    return f"# Document {number}\n\n" + "\n\n".join(parts)


class Sender:
    """One user sending documents, patiently."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.tries = Counter[int]()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request until it is answered; raises AssertionError for a refusal that is no retry's matter."""
        while True:
            with contextlib.suppress(*LOST):
                status, _, answer = call(self.server.port, method, path, body, self.token, seconds=10)
                self.tries[status] += 1
                if status < 400 or status == 409:
                    return answer
                assert status in {401, 503}, answer
                if status == 401:  # a token lasts 15 minutes
                    self.token = self.server.sign_in()
            let_pass(0.05)

    def send(self, home: str, number: int, version: int) -> str:
        """Send a document for the first time, or again."""
        body = {"title": f"D{number}.{version}", "text": text(number, version), "collection_id": home}
        return str(self.ask("POST", "/api/documents/", body)["id"])

    def replace(self, document: str, number: int, version: int) -> None:
        """Replace a document."""
        self.ask("PUT", f"/api/documents/{document}/", {"title": f"D{number}.{version}", "text": text(number, version)})

    def settle(self, documents: list[str], seconds: float) -> Counter[str]:
        """Wait until all are ready, retrying failed ones; returns the counts of outcomes."""
        seen = Counter[str]()
        waiting = list(documents)
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            for one in list(waiting):
                status = self.ask("GET", f"/api/documents/{one}/")["status"]
                if status == "failed":
                    seen["given up"] += 1
                    self.ask("POST", f"/api/documents/{one}/retry/")
                elif status == "ready":
                    waiting.remove(one)
            let_pass(0.1)
        seen["not ready"] = len(waiting)
        return seen

    def passages(self, document: str) -> Passages:
        """Return a document as it is searched."""
        items: Passages = []
        cursor = ""
        while True:
            page = self.ask("GET", f"/api/documents/{document}/chunks/?limit=100{cursor}")
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"


class Killer(threading.Thread):
    """Kills the worker at random moments, so many times."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.server = server
        self.number = number
        self.done = 0

    def run(self) -> None:
        """Kill, wait until the server answers again, and kill again."""
        while self.done < self.number:
            let_pass(random.uniform(0.02, 1.5))
            for pid in self.server.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.done += 1
            tell(self.done, self.number)
            wait_for(self.ready, interval=0.05)

    def ready(self) -> bool:
        """Return whether a worker answers."""
        with contextlib.suppress(*LOST):
            return call(self.server.port, "GET", "/readyz", seconds=5)[0] == 200
        return False


def tell(count: int, number: int) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{count} of {number} kills", end="" if count < number else "\n", file=sys.stderr, flush=True)


def run(folder: Path, upstream: Upstream, number: int, **settings: str) -> tuple[Counter[str], Counter[str]]:
    """Upload documents while the worker is killed; returns the faults, and the counts of outcomes."""
    settings = {"OPENAI_BASE_URL": upstream.url, "APP_ENV": "testing", "LOG_LEVEL": "warning", **settings}
    server = Server(folder, **settings).prepare().start()
    try:
        sender = Sender(server, server.sign_in())
        quiet, home = (sender.ask("POST", "/api/collections/", {"name": name})["id"] for name in ("quiet", "killed"))
        undisturbed = {(n, v): sender.send(quiet, n, v) for n in range(DOCUMENTS) for v in (0, 1)}
        assert sender.settle(list(undisturbed.values()), CALM)["not ready"] == 0
        expected = {key: sender.passages(one) for key, one in undisturbed.items()}
        killer = Killer(server, number)
        seen = Counter[str]()
        version = 0
        killer.start()
        documents = {n: sender.send(home, n, version) for n in range(DOCUMENTS)}
        while True:
            seen += sender.settle(list(documents.values()), 600)
            if not killer.is_alive():
                break
            version = 1 - version
            seen["times"] += 1
            for n, document in documents.items():
                sender.replace(document, n, version)
        killer.join()
        seen["not ready"] = 0
        wrong = sender.settle(list(documents.values()), CALM)
        wrong["other passages"] = sum(sender.passages(one) != expected[n, version] for n, one in documents.items())
        faults = server.flask("knowledge", "verify", check=False).stdout.splitlines()
        wrong["faults found by verify"] = len(faults) - 1
        seen.update({"killed": killer.done, "passages": sum(map(len, expected.values())) // 2})
        wrong.pop("given up", None)
        return +wrong, +seen
    finally:
        server.stop()
