"""`make bench-rooms`: many sockets in rooms, on one process with SQLite and on two workers with PostgreSQL and Redis.

The clients and the server share the machine. A thousand clients are WebSockets by hand, which cost little
(tests/support/raw_sockets.py); python-socketio's own follow the same room beside them and must hear the same. The
limits of each user hold. Messages are sent at a steady rate, whether or not the one before was acknowledged.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import room_neighbours
from bench.processors import read_nanoseconds
from bench.report import Report
from bench.room_data import Data
from bench.room_traffic import RealClient, Traffic, median_ms
from bench.streams import memory, percentile
from tests.support import raw_sockets as sockets
from tests.support.chaos import stack
from tests.support.processes import Server, running

WORKERS: dict[str, dict[str, str]] = {"sqlite": {}, "hosts": {"WEB_CONCURRENCY": "2"}}
SAID = {"sqlite": "one process, SQLite", "hosts": "two workers, PostgreSQL and Redis"}
MEMBERS = 500
SOCKETS_EACH = 2
REAL_CLIENTS = 5
FANOUT_RATE = 5.0  # messages a second
FANOUT_MESSAGES = 100
MAX_LAST_MS = 500.0
ROOMS = 100
MEMBERS_OF_EACH = 10
RATE = 100.0  # messages a second, over all rooms
MESSAGES = 1_500
MAX_ACKNOWLEDGED_MS = {0.5: 20.0, 0.99: 100.0}
MAX_SOCKET_KB = 90.0
CHANGES = 500
JOINS = 40
MAX_JOIN_MS = 80.0


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Data]:
    """Run a server, empty but for a thousand users."""
    with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as settings:
        settings |= {"LLM": "memory", "EMBEDDER": "memory", "LOG_LEVEL": "warning", "RATELIMIT_ENABLED": "true"}
        settings |= {"CONNECTIONS_PER_ADDRESS": "5000", **WORKERS[kind]}
        with running(Path(name), **settings) as server:
            data = Data(server)
            data.add_users(ROOMS * MEMBERS_OF_EACH)
            yield data


def measure_fanout(kind: str, data: Data, rounds: int, report: Report) -> None:
    """Measure the memory of sockets that open and rest, then messages to all of them."""
    members = data.users[:MEMBERS]
    room_id = data.add_room(members)
    asyncio.run(_fan_out(kind, data.server, [one.token for one in members], room_id, rounds, report))


async def _fan_out(kind: str, server: Server, tokens: Sequence[str], room_id: str, rounds: int, report: Report) -> None:
    workers = server.workers()
    traffic = Traffic()
    # What the process needs once, such as compiled code of the first requests, is no socket's.
    for one in await sockets.connect(server.port, tokens[:100], traffic.note):
        one.close()
    await asyncio.sleep(1)
    before = memory(workers)
    opened = await sockets.connect(server.port, [*tokens] * SOCKETS_EACH, traffic.note)
    await asyncio.sleep(1)
    grown = (memory(workers) - before) * 1024 / len(opened)
    report.tell(f"{kind}: memory of a resting socket", grown, "KB", MAX_SOCKET_KB, more=False)
    rooms = [room_id] * len(opened)
    await sockets.join(opened, rooms)
    await asyncio.sleep(1)
    grown = (memory(workers) - before) * 1024 / len(opened)
    report.tell("  of one that has joined a room", grown, "KB")
    clients = [await asyncio.to_thread(RealClient, server.port, token, room_id) for token in tokens[:REAL_CLIENTS]]
    lasts = []
    start = time.monotonic()
    used = read_nanoseconds(workers)
    for _ in range(rounds):
        first = len(traffic.sent)
        await traffic.post(opened, rooms, FANOUT_RATE, FANOUT_MESSAGES)
        lasts.append(traffic.seconds_to_last()[first:])
    used = read_nanoseconds(workers) - used
    share = used / 1e9 / (time.monotonic() - start)
    name = f"{kind}: {len(opened)} sockets in one room"
    bound = MAX_LAST_MS if kind == "sqlite" else None
    report.tell(f"{name}: to the last, p50", statistics.median(map(median_ms, lasts)), "ms")
    p99 = statistics.median(percentile(one, 0.99) for one in lasts)
    report.tell(f"{name}: to the last, p99", p99, "ms", bound, more=False)
    report.tell("  to any of them, p50", median_ms(traffic.seconds_to_each()), "ms")
    report.tell("  to any of them, p99", percentile(traffic.seconds_to_each(), 0.99), "ms")
    real = [seconds for one in clients for seconds in one.seconds(traffic)]
    report.tell(f"  to {REAL_CLIENTS} of python-socketio, p99", percentile(real, 0.99), "ms")
    report.tell("  acknowledged, p50", median_ms(traffic.acknowledged), "ms")
    report.tell("  processor of the workers for each message", used / 1e6 / len(traffic.sent), "ms")
    report.tell("  processors busy, of the workers", share, "")
    wrong = traffic.count_wrong(opened)
    wrong += sum(sorted(number for number, _ in one.heard) != list(range(len(traffic.sent))) for one in clients)
    report.tell("  sockets that missed or doubled messages", wrong, "", 0, more=False)
    for client in clients:
        client.close()
    for one in opened:
        one.close()


def measure_messages(kind: str, data: Data, rounds: int, report: Report) -> None:
    """Measure the time to the acknowledgement of a message, in many rooms."""
    groups = [data.users[start : start + MEMBERS_OF_EACH] for start in range(0, len(data.users), MEMBERS_OF_EACH)]
    room_ids = [data.add_room(group) for group in groups]
    # Sockets in the order in which they write: the first member of each room, then the second ...
    tokens = [group[place].token for place in range(MEMBERS_OF_EACH) for group in groups]
    asyncio.run(_post(kind, data.server, tokens, room_ids * MEMBERS_OF_EACH, rounds, report))


async def _post(
    kind: str, server: Server, tokens: Sequence[str], room_ids: Sequence[str], rounds: int, report: Report
) -> None:
    opened = await sockets.connect(server.port, tokens, Traffic().note)
    await sockets.join(opened, room_ids)
    workers = server.workers()
    found = []
    used = []
    for number in range(rounds + 1):
        traffic = Traffic()
        for one in opened:
            one.listener = traffic.note
        before = read_nanoseconds(workers)
        await traffic.post(opened, room_ids, RATE, MESSAGES if number else MESSAGES // 5)
        if number:  # the first warms
            found.append(traffic)
            used.append((read_nanoseconds(workers) - before) / 1e6 / MESSAGES)
    name = f"{kind}: {ROOMS} rooms x {MEMBERS_OF_EACH}, {RATE:g} messages/s"
    for share, bound in MAX_ACKNOWLEDGED_MS.items():
        value = statistics.median(percentile(one.acknowledged, share) for one in found)
        report.tell(f"{name}: acknowledged, p{share * 100:.0f}", value, "ms", bound, more=False)
    to_each = [one.seconds_to_each() for one in found]
    report.tell("  heard of, p50", statistics.median(map(median_ms, to_each)), "ms")
    report.tell("  heard of, p99", statistics.median(percentile(one, 0.99) for one in to_each), "ms")
    report.tell("  processor of the workers for each message", statistics.median(used), "ms")
    missing = sum(
        len(one.acknowledged) * MEMBERS_OF_EACH - len(seconds) for one, seconds in zip(found, to_each, strict=True)
    )
    report.tell("  messages not heard of, or twice", abs(missing), "", 0, more=False)
    refused = [problem for one in found for problem in one.refused]
    report.tell("  messages refused", len(refused), "", 0, more=False)
    if refused:
        print(f"  such as: {refused[0]}")
    for one in opened:
        one.close()


def measure_join(kind: str, data: Data, rounds: int, report: Report) -> None:
    """Measure joining a room with changes that were missed."""
    members = data.users[:MEMBERS_OF_EACH]
    room_id = data.add_room(members)
    data.add_messages(room_id, members[0], CHANGES)
    workers = data.server.workers()
    before = read_nanoseconds(workers)
    seconds = asyncio.run(_join(data.server, members[1].token, room_id, JOINS * rounds))
    used = (read_nanoseconds(workers) - before) / 1e6 / len(seconds)
    report.tell(f"{kind}: join with {CHANGES} changes, p50", median_ms(seconds), "ms", MAX_JOIN_MS, more=False)
    report.tell("  p99", percentile(seconds, 0.99), "ms")
    report.tell("  processor of the workers for each", used, "ms")


async def _join(server: Server, token: str, room_id: str, number: int) -> list[float]:
    (one,) = await sockets.connect(server.port, [token], lambda *_: None)
    rev = (await one.call("join", room_id=room_id))["rev"]
    seconds = []
    for _ in range(number):
        started = time.monotonic()
        answer = await one.call("join", room_id=room_id, since_rev=rev - CHANGES)
        seconds.append(time.monotonic() - started)
        if len(answer["changes"]) != CHANGES:
            raise RuntimeError(f"{len(answer['changes'])} changes")
        await asyncio.sleep(0.02)
    one.close()
    return seconds


PARTS: dict[str, Callable[[str, Data, int, Report], None]] = {
    "fanout": measure_fanout,
    "messages": measure_messages,
    "join": measure_join,
    "slow": room_neighbours.measure_slow_reader,
}
OF_ONE_PROCESS = ("fanout", "slow")


def measure(kind: str, parts: Sequence[str], rounds: int, report: Report) -> None:
    """Measure one stack."""
    print(f"{os.cpu_count()} cores, {SAID[kind]}, medians of {rounds} rounds", flush=True)
    for part in PARTS:
        if part in parts and (kind == "sqlite" or part not in OF_ONE_PROCESS):
            with serving(kind) as data:
                PARTS[part](kind, data, rounds, report)
    if "streams" in parts:
        room_neighbours.measure_streams(kind, WORKERS[kind], rounds, report)


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stack", choices=list(WORKERS), action="append", help="default: both")
    parser.add_argument("--part", choices=[*PARTS, "streams"], action="append", help="default: all")
    options = parser.parse_args()
    report = Report("rooms")
    gc.disable()  # of the clients, whose pauses are not the server's
    for kind in options.stack or WORKERS:
        measure(kind, options.part or [*PARTS, "streams"], options.rounds, report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
