"""Measure how fast devices see a change, and the cost of recording changes and of the UI stream (`make bench-sync`)."""

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Target, load, request, response
from bench.processors import list_database_processes, read_nanoseconds
from bench.report import Report
from tests.support import fleet
from tests.support.chaos import stack
from tests.support.processes import Server, Upstream, running

USERS = 16
DEVICES_EACH = 4
CHANGES_EACH = 64  # of a round
PAUSE = 0.05  # seconds between two changes
MAX_SEEN_MS = {"sqlite": 300.0, "hosts": 800.0}
HOSTS = {"sqlite": "one process", "hosts": "two hosts"}
MAX_RECORDING = 0.05  # of a chat request's processor time
CLIENTS = 16
BLOCKS = 12  # of each load, in a round
BLOCK_SECONDS = 0.4  # short ones: what others do on this machine falls on both alike
MAX_UI_MS = 0.2  # more than our own stream for each event
STREAMS = 8
TOKENS = 100
INTERVAL = 0.01


@dataclass
class Observed:
    """When changes were sent, and the milliseconds until devices saw them."""

    sent: dict[str, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    following: int = 0


async def follow(port: int, token: str, observed: Observed) -> None:
    """Follow a user's changes as one device, and note when each comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/sync/events/ HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await reader.readline()
    observed.following += 1
    with contextlib.closing(writer):
        while line := await reader.readline():
            if line.startswith(b'data: {"type"'):
                title = (json.loads(line[6:]).get("data") or {}).get("title")
                if title in observed.sent:
                    observed.delays.append((time.perf_counter() - observed.sent[title]) * 1000)


async def change_and_follow(ports: list[int], tokens: list[str], homes: list[str], changes: int) -> Observed:
    """Rename conversations on one device each; the others follow, on any of the ports."""
    observed = Observed()
    devices = [
        asyncio.create_task(follow(ports[number % len(ports)], token, observed))
        for token in tokens
        for number in range(DEVICES_EACH)
    ]
    while observed.following < len(devices):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    for number in range(changes):
        user = number % len(tokens)
        title = f"change {number}"
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[number // len(tokens) % len(ports)])
        headers = {"Authorization": f"Bearer {tokens[user]}"}
        change = Target(
            "", 0, f"/api/conversations/{homes[user]}/", lambda title: {"title": title}, bytes.decode, headers
        )
        observed.sent[title] = time.perf_counter()
        writer.write(request(change, title).replace(b"POST", b"PATCH", 1))
        status, body = await response(reader)
        writer.close()
        if status != 200:
            raise RuntimeError(f"{status} {body[:200]!r}")
        await asyncio.sleep(PAUSE)
    await asyncio.sleep(2)
    for device in devices:
        device.cancel()
    return observed


@contextlib.contextmanager
def _serving(kind: str, folder: Path) -> Iterator[list[Server]]:
    """Run one process on SQLite, or two hosts."""
    with stack(kind, folder) as settings:
        settings |= {"LLM": "memory", "EMBEDDER": "memory", "LOG_LEVEL": "warning"}
        if kind == "sqlite":
            with running(folder, **settings) as server:
                yield [server]
        else:
            with fleet.running(folder, **settings) as hosts:
                yield hosts.hosts


def measure_events(kind: str, rounds: int, report: Report) -> None:
    """Measure the time in which 64 devices see each other's changes."""
    changes = rounds * CHANGES_EACH
    with tempfile.TemporaryDirectory() as name, _serving(kind, Path(name)) as servers:
        tokens = [servers[0].sign_in(f"user{number}") for number in range(USERS)]
        homes = [servers[0].call("POST", "/api/conversations/", {}, token)[2]["id"] for token in tokens]
        workers = [pid for server in servers for pid in server.workers()]
        before = read_nanoseconds(workers)
        observed = asyncio.run(change_and_follow([server.port for server in servers], tokens, homes, changes))
        used = (read_nanoseconds(workers) - before) / 1e6
    count = USERS * DEVICES_EACH
    delays = sorted(observed.delays)
    report.tell(f"{kind}: {HOSTS[kind]}, {count} devices: a change seen, p50", statistics.median(delays), "ms")
    p99 = delays[int(len(delays) * 0.99)]
    report.tell(f"{kind}: {HOSTS[kind]}, {count} devices: a change seen, p99", p99, "ms", MAX_SEEN_MS[kind], more=False)
    report.tell("  of those sent, seen", len(delays) / (changes * DEVICES_EACH), "", 1)
    report.tell("  processor of the workers for each change", used / changes, "ms")


def measure_recording(kind: str, rounds: int, report: Report) -> None:
    """Compare the processor time of chat requests with and without the record of changes."""
    upstream = Upstream()
    with contextlib.ExitStack() as held:
        held.callback(upstream.stop)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        settings = held.enter_context(stack(kind, folder))
        settings |= {"OPENAI_BASE_URL": upstream.url, "LOG_LEVEL": "warning", "EMBEDDER": "memory"}
        server = Server(folder, **settings).prepare()
        server.application = "bench.unrecorded:app"
        server.start()
        held.callback(server.stop)
        tokens = [server.sign_in(f"user{number}") for number in range(CLIENTS)]
        recorded, unrecorded = _measure_chats(server, tokens, rounds)
        of_one_user = _measure_chats(server, tokens[:1], rounds)
    report.tell(f"{kind}: processor of a chat request, with its database's", recorded, "ms")
    share = 1 - unrecorded / recorded
    report.tell(f"{kind}: of that, recording changes of {CLIENTS} users", share, "", MAX_RECORDING, more=False)
    report.tell("  in milliseconds", recorded - unrecorded, "ms")
    report.tell(f"  of one user's {CLIENTS} chats at a time", 1 - of_one_user[1] / of_one_user[0], "")


def _measure_chats(server: Server, tokens: list[str], rounds: int) -> tuple[float, float]:
    """Return the milliseconds of processor of a chat request of some users, recorded and unrecorded."""
    used: dict[str, list[float]] = {"recorded": [], "unrecorded": []}
    targets = [Target(name, server.port, "/api/chat/", _message, _answer) for name in used]
    for number in range(BLOCKS * rounds + 1):
        for target in targets[:: 1 if number % 2 else -1]:
            pids = [*server.workers(), *list_database_processes(server.folder)]
            before = read_nanoseconds(pids)
            result = load(target, CLIENTS, BLOCK_SECONDS, tokens=tokens)
            if number:  # the first warms
                used[target.name].append((read_nanoseconds(pids) - before) / 1e6 / len(result.latencies))
    return statistics.median(used["recorded"]), statistics.median(used["unrecorded"])


def _message(question: str) -> dict[str, object]:
    return {"message": question}


def _answer(body: bytes) -> str:
    return str(json.loads(body)["bot_response"])


def _stream_message(question: str) -> dict[str, object]:
    return {"message": question, "stream": True}


def _ui_message(question: str) -> dict[str, object]:
    parts = [{"type": "text", "text": question}]
    return {"id": question, "messages": [{"id": "m", "role": "user", "parts": parts}]}


async def _read(target: Target, question: str) -> int:
    """Read one stream to its end; returns how many events with text it had."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(request(target, question))
    count = 0
    with contextlib.closing(writer):
        while not (line := await reader.readline()).startswith((b"event: done", b"data: [DONE]", b"event: error")):
            if not line:
                raise RuntimeError("a stream broke off")
            count += line.startswith(
                (b'data: {"offset"', b'data: {"type":"text-delta"', b'data: {"type": "text-delta"')
            )
    return count


async def _wave(target: Target, number: int) -> int:
    return sum(await asyncio.gather(*(_read(target, f"{target.name} {number} {one}") for one in range(STREAMS))))


def measure_ui(kind: str, rounds: int, report: Report) -> None:
    """Compare the processor time of an event of the UI message stream with that of our own stream."""
    used: dict[str, list[float]] = {"own": [], "ui": []}
    upstream = Upstream("--first", "0.05", "--interval", str(INTERVAL), "--tokens", str(TOKENS))
    with contextlib.ExitStack() as held:
        held.callback(upstream.stop)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        settings = held.enter_context(stack(kind, folder))
        settings |= {"OPENAI_BASE_URL": upstream.url, "LOG_LEVEL": "warning", "EMBEDDER": "memory"}
        server = held.enter_context(running(folder, **settings))
        headers = {"Authorization": f"Bearer {server.sign_in()}"}
        targets = [
            Target("own", server.port, "/api/chat/", _stream_message, _answer, headers),
            Target("ui", server.port, "/api/ui/chat/", _ui_message, _answer, headers),
        ]
        counts: dict[str, Any] = {}
        for number in range(2 * rounds + 1):
            for target in targets[:: 1 if number % 2 else -1]:
                before = read_nanoseconds(server.workers())
                counts[target.name] = asyncio.run(_wave(target, number))
                if number:
                    used[target.name].append((read_nanoseconds(server.workers()) - before) / 1e6 / counts[target.name])
    own, ui = (statistics.median(used[name]) for name in ("own", "ui"))
    print(f"  events of a wave of {STREAMS * TOKENS} tokens: {counts}")
    report.tell(f"{kind}: processor of an event of our own stream", own, "ms")
    report.tell(f"{kind}: the UI stream's, more", ui - own, "ms", MAX_UI_MS, more=False)
