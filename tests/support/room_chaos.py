"""Rooms while workers are restarted and killed: `python -m tests.support.room_chaos --restarts 100`.

Clients write into rooms all the time, edit and delete now and then, and speak with the model beside. Where a socket
ends they connect again, join from the last change that they know, and send again what was not acknowledged. In the end
each has the same messages in the same order as the database: none is missing, none is there twice.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support import chaos, raw_sockets
from tests.support.chaos import Speaker, wait_until_ready
from tests.support.chaos_documents import tell
from tests.support.fleet import Fleet
from tests.support.processes import Server, Upstream
from tests.support.raw_sockets import EVENT, ProblemAnswer, RawSocket
from tests.support.waiting import let_pass

WRITERS_EACH = 10  # of a room
RATE = 25.0  # messages a second, of all
LOST = (OSError, TimeoutError, ProblemAnswer)
PAUSE = 0.1  # seconds before another attempt
RESTART_SECONDS = (0.5, 2.0)  # between two
KNOWN = ("seq", "text", "deleted")  # of a message, in which all must agree


@dataclass
class Writer:
    """A member of a room with a socket; `messages` are those that it knows, and `rev` is the last change."""

    server: Server | Fleet
    token: str
    room_id: str
    name: str
    pause: float
    stop: threading.Event
    is_resynchronising: bool = True
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    rev: int = 0
    _is_joined: bool = False

    async def run(self) -> None:
        """Write until it is enough and all is acknowledged."""
        texts = (f"{self.name} writes {number}" for number in itertools.count())
        text = ""
        while not self.stop.is_set() or text:
            with contextlib.suppress(*LOST):
                async with self._connect() as one:
                    while not self.stop.is_set() or text:
                        text = text or next(texts)
                        await self._write(one, text)
                        text = ""
                        await asyncio.sleep(random.uniform(0, 2 * self.pause))
            await asyncio.sleep(PAUSE)

    async def resynchronise(self) -> None:
        """Join once more, behind all that was written."""
        while True:
            with contextlib.suppress(*LOST):
                async with self._connect():
                    return
            await asyncio.sleep(PAUSE)

    @contextlib.asynccontextmanager
    async def _connect(self) -> Any:
        """Open a socket and join; events before the acknowledgement of that do not move `rev` on."""
        self._is_joined = False
        (one,) = await raw_sockets.connect(self.server.port, [self.token], self._hear)
        try:
            since = {"since_rev": self.rev} if self.is_resynchronising else {}
            is_complete = False
            while not is_complete:
                answer = await one.call("join", room_id=self.room_id, **since)
                for change in answer["changes"]:
                    self._apply(change["type"], change.get("data"))
                self.rev = since["since_rev"] = max(self.rev, answer["rev"])
                is_complete = answer["complete"]
            self._is_joined = True
            yield one
        finally:
            one.close()
            self.seen[json.loads(one.end[len(EVENT) :])[1]["code"] if one.end.startswith("42") else "cut"] += 1

    async def _write(self, one: RawSocket, text: str) -> None:
        message = await one.call("message", room_id=self.room_id, text=text, client_id=text)
        self.acknowledged.append(message["id"])
        path = f"/api/rooms/{self.room_id}/messages/{random.choice(self.acknowledged)}/"
        if random.random() < 0.1:
            await asyncio.to_thread(self.server.call, "PATCH", path, {"text": f"{text}, in other words"}, self.token)
        elif random.random() < 0.05:
            await asyncio.to_thread(self.server.call, "DELETE", path, token=self.token)

    def _hear(self, _: RawSocket, packet: bytes, __: float) -> None:
        name, data = json.loads(packet[len(EVENT) :])
        if name not in {"message", "changed"}:
            return
        if self._is_joined:
            self.seen["out of order"] += data["rev"] <= self.rev
            self.rev = max(self.rev, data["rev"])
        self.seen["heard"] += 1
        self._apply("message" if name == "message" else data["type"], data if name == "message" else data.get("data"))

    def _apply(self, kind: str, data: dict[str, Any] | None) -> None:
        if kind == "message" and data is not None:
            known = self.messages.get(data["id"])
            if known is None or known["rev"] < data["rev"]:
                self.messages[data["id"]] = data


@dataclass
class Run:
    """The clients of a run, in a thread of their own."""

    server: Server | Fleet
    stop: threading.Event = field(default_factory=threading.Event)
    writers: list[Writer] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)  # tokens by rooms

    def add_room(self, number: int, *, pause: float, is_resynchronising: bool) -> None:
        """Make a room and the writers of it."""
        tokens = [self.server.sign_in(f"writer-{number}-{one}") for one in range(WRITERS_EACH)]
        room = self.server.call("POST", "/api/rooms/", {"name": "chaos", "history": "all"}, tokens[0])[2]["id"]
        for token in tokens[1:]:
            user = self.server.call("GET", "/api/users/me/", token=token)[2]["id"]
            self.server.call("PUT", f"/api/rooms/{room}/members/{user}/", {"role": "member"}, tokens[0])
        self.owners[room] = tokens[0]
        for one, token in enumerate(tokens):
            name = f"writer {number}.{one}"
            self.writers.append(Writer(self.server, token, room, name, pause, self.stop, is_resynchronising))

    async def write(self) -> None:
        """Let all writers write, and in the end join once more."""
        await asyncio.gather(*(writer.run() for writer in self.writers))
        await asyncio.gather(*(writer.resynchronise() for writer in self.writers))

    def check(self) -> Counter[str]:
        """Compare the messages of each writer with the database; returns the differences by kind."""
        wrong: Counter[str] = Counter()
        for room, token in self.owners.items():
            stored = read_messages(self.server, room, token)
            truth = {message["id"]: [message[name] for name in KNOWN] for message in stored}
            ids = [message["client_id"] for message in stored if message["client_id"]]
            wrong["doubled"] += len(ids) - len(set(ids))
            wrong["gaps"] += [message["seq"] for message in stored] != list(range(1, len(stored) + 1))
            for writer in (one for one in self.writers if one.room_id == room):
                known = {one["id"]: [one[name] for name in KNOWN] for one in writer.messages.values()}
                wrong["lost"] += len(set(writer.acknowledged) - truth.keys())
                wrong["missed"] += len(truth.keys() - known.keys())
                wrong["different"] += sum(known[one] != facts for one, facts in truth.items() if one in known)
                wrong["unknown"] += len(known.keys() - truth.keys())
                wrong["out of order"] += writer.seen.pop("out of order", 0)
        return +wrong


def read_messages(server: Server | Fleet, room: str, token: str) -> list[dict[str, Any]]:
    """Read all messages of a room."""
    messages: list[dict[str, Any]] = []
    while True:
        seq = messages[-1]["seq"] if messages else 0
        page = server.call("GET", f"/api/rooms/{room}/messages/?since_seq={seq}&limit=100", token=token)[2]
        messages += page["items"]
        if not page["more"]:
            return messages


def restarts(server: Server | Fleet, number: int) -> Iterator[int]:
    """Restart workers in the ways of operators, and kill some; yields how often."""
    hosts = server.hosts if isinstance(server, Fleet) else [server]
    for count in range(1, number + 1):
        let_pass(random.uniform(*RESTART_SECONDS))
        host = random.choice(hosts)
        workers = host.workers()
        with contextlib.suppress(ProcessLookupError):
            if count % 3 == 0:  # a new release: workers of the new one begin, then the old ones are drained
                host.process.send_signal(signal.SIGHUP)
            elif workers:
                os.kill(random.choice(workers), signal.SIGTERM if count % 3 == 1 else signal.SIGKILL)
        wait_until_ready(server)
        yield count


def run(
    folder: Path,
    upstream: Upstream,
    number: int,
    *,
    rooms: int,
    streams: int,
    is_resynchronising: bool = True,
    stack: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Counter[str], Counter[str]]:
    """Run writers and chats while workers are restarted; returns the counts of faults and of outcomes."""
    settings = {"OPENAI_BASE_URL": upstream.url, "APP_ENV": "testing", "LOG_LEVEL": "warning", **stack}
    server = (Fleet if "REDIS_URL" in settings else Server)(folder, **settings).prepare()
    server.start()
    clients = Run(server)
    speakers = [Speaker(server, f"speaker-{one}", clients.stop) for one in range(streams)]
    try:
        for one in range(rooms):
            pause = rooms * WRITERS_EACH / RATE
            clients.add_room(one, pause=pause, is_resynchronising=is_resynchronising)
        for speaker in speakers:
            speaker.token = server.sign_in(speaker.name)
        writing = threading.Thread(target=asyncio.run, args=[clients.write()], daemon=True)
        threads = [writing, *(threading.Thread(target=speaker.run) for speaker in speakers)]
        for thread in threads:
            thread.start()
        for count in restarts(server, number):
            tell(count, number)
        let_pass(1.0)
        clients.stop.set()
        for thread in threads:
            thread.join(120)
        wrong, seen = chaos.conclude(server, speakers)
        seen += Counter({"messages": sum(len(writer.acknowledged) for writer in clients.writers)})
        for writer in clients.writers:
            seen += writer.seen
        return wrong + clients.check() + Counter({"writers that hang": writing.is_alive()}), seen
    finally:
        clients.stop.set()
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--database", choices=["sqlite", "hosts"], action="append", help="default: both")
    options = parser.parse_args()
    return sum(play(kind, options.restarts) for kind in options.database or ["sqlite", "hosts"])


def play(kind: str, number: int) -> int:
    """Run and print the result; returns 1 for faults."""
    upstream = Upstream("--interval", "0.01", "--tokens", "20")
    try:
        with tempfile.TemporaryDirectory() as name, chaos.stack(kind, Path(name)) as stack:
            started = time.monotonic()
            wrong, seen = run(Path(name), upstream, number, rooms=10, streams=50, stack=stack)
    finally:
        upstream.stop()
    print(f"{kind}, rooms: {number} restarts in {time.monotonic() - started:.0f} s; {dict(seen)}")
    counted = {name: wrong[name] for name in ("missed", "doubled", "out of order", "lost")} | wrong
    print(f"{'MISSED' if wrong else 'ok    '} {', '.join(f'{count} {name}' for name, count in counted.items())}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
