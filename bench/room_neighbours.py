"""Measure the cost of a slow reader to the others of its room, and of many sockets to the chats beside them."""

import asyncio
import contextlib
import json
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import websocket

from bench import streams
from bench.report import Report
from bench.room_data import Data
from bench.room_traffic import Traffic, median_ms
from bench.streams import memory, percentile
from tests.support import raw_sockets as sockets
from tests.support.chaos import stack
from tests.support.processes import Server, Upstream, running
from tests.support.raw_sockets import RawSocket
from tests.support.sockets import open_raw

READERS = 40
RATE = 20.0  # messages a second: 80 KB
TEXT = "x" * 4_000
MESSAGES = 400
SLOW_BYTES = 512  # at a time
SLOW_PAUSE = 0.25  # seconds between two of them: 2 KB a second
MAX_DELAY = 1.1  # of the others, beside the same without a slow reader: less is not measurable
MAX_HELD_MB = 1.0
STREAMS = 64
SOCKETS = 500
ROOM = 10  # members
QUIET_RATE = 10.0  # messages a second in all rooms of those beside the streams
MAX_FIRST = 1.3


def measure_slow_reader(kind: str, data: Data, rounds: int, report: Report) -> None:
    """Compare a room with and without a reader of 2 KB a second."""
    members = data.users[: READERS + 1]
    room_id = data.add_room(members)
    delays: dict[bool, list[list[float]]] = {False: [], True: []}
    peaks: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * rounds + 1):
        is_slow = number % 2 == 0
        with contextlib.ExitStack() as held:
            if is_slow:
                held.enter_context(_slow_reader(data.server, members[-1].token, room_id))
            seconds, grown = asyncio.run(_follow(data.server, [one.token for one in members[:-1]], room_id))
        if number:  # the first warms
            delays[is_slow].append(seconds)
            peaks[is_slow].append(grown)
    quiet, slow = (statistics.median(map(median_ms, delays[one])) for one in (False, True))
    report.tell(f"{kind}: beside a reader of 2 KB/s, heard of, p50", slow, "ms")
    report.tell("  without it", quiet, "ms")
    report.tell("  of that", slow / quiet, "x", MAX_DELAY, more=False)
    quiet, slow = (statistics.median(percentile(part, 0.99) for part in delays[one]) for one in (False, True))
    report.tell("  p99", slow, "ms")
    report.tell("  p99 without it", quiet, "ms")
    without, beside = (statistics.median(peaks[one]) for one in (False, True))
    report.tell(f"{kind}: memory held for it", beside - without, "MB", MAX_HELD_MB, more=False)


@contextlib.contextmanager
def _slow_reader(server: Server, token: str, room_id: str) -> Iterator[None]:
    """Follow a room and read 2 KB a second for the time of a block."""
    stop = threading.Event()
    small = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096),)
    with open_raw(server, token, sockopt=small) as raw:
        connection = raw.sock
        assert connection is not None
        raw.send("42/rooms," + json.dumps(["join", {"room_id": room_id}]))

        def read() -> None:
            with contextlib.suppress(OSError, websocket.WebSocketException):
                while not stop.wait(SLOW_PAUSE):
                    connection.recv(SLOW_BYTES)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


async def _follow(server: Server, tokens: Sequence[str], room_id: str) -> tuple[list[float], float]:
    """Send messages to a room; return the seconds to each socket, and how much the worker grew at most, in MB."""
    traffic = Traffic(text=TEXT)
    opened = await sockets.connect(server.port, tokens, traffic.note)
    rooms = [room_id] * len(opened)
    await sockets.join(opened, rooms)
    workers = server.workers()
    before = memory(workers)
    peak = before
    posting = asyncio.create_task(traffic.post(opened, rooms, RATE, MESSAGES))
    while not posting.done():
        peak = max(peak, memory(workers))
        await asyncio.sleep(0.1)
    await posting
    if traffic.count_wrong(opened):
        raise RuntimeError("sockets missed messages")
    for one in opened:
        one.close()
    return traffic.seconds_to_each(), peak - before


def measure_streams(kind: str, workers: Mapping[str, str], rounds: int, report: Report) -> None:
    """Compare the first tokens of streams beside many sockets with those without."""
    upstream = Upstream("--first", "0.2", "--interval", "0.02", "--tokens", str(streams.TOKENS))
    lasts = streams.FIRST + streams.INTERVAL * streams.TOKENS
    found: dict[bool, list[streams.Seen]] = {False: [], True: []}
    with contextlib.ExitStack() as held:
        held.callback(upstream.stop)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        settings = held.enter_context(stack(kind, folder))
        settings |= {"OPENAI_BASE_URL": upstream.url, "EMBEDDER": "memory", "LOG_LEVEL": "warning", **workers}
        server = held.enter_context(running(folder, **settings))
        data = Data(server)
        data.add_users(SOCKETS)
        groups = [data.users[start : start + ROOM] for start in range(0, SOCKETS, ROOM)]
        room_ids = [data.add_room(group) for group in groups]
        tokens = [group[place].token for place in range(ROOM) for group in groups]
        target = streams.targets(server, upstream)[1]
        streams.wave(target, STREAMS, lasts, streams.TOKENS)  # warm
        for _ in range(rounds):
            for beside in (False, True):
                with _traffic(server, tokens, room_ids * ROOM) if beside else contextlib.nullcontext():
                    found[beside].append(streams.wave(target, STREAMS, lasts, streams.TOKENS))
    wrong = [text for waves in found.values() for seen in waves for text in seen.wrong]
    name = f"{kind}: {STREAMS} streams beside {SOCKETS} sockets: first token"
    for share, bound in ((0.5, None), (0.99, MAX_FIRST)):
        alone, busy = (statistics.median(percentile(seen.first, share) for seen in found[one]) for one in (False, True))
        report.tell(f"{name}, p{share * 100:.0f}", busy, "ms")
        report.tell("  without", alone, "ms")
        report.tell("  of that", busy / alone, "x", bound, more=False)
    report.tell("  wrong texts", len(wrong), "", 0, more=False)


@contextlib.contextmanager
def _traffic(server: Server, tokens: Sequence[str], room_ids: Sequence[str]) -> Iterator[None]:
    """Keep sockets in rooms, in which messages are sent, for the time of a block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened: list[RawSocket] = asyncio.run_coroutine_threadsafe(_open(server, tokens, room_ids), loop).result()
    traffic = Traffic()
    posting = asyncio.run_coroutine_threadsafe(traffic.post(opened, room_ids, QUIET_RATE, 1_000_000), loop)
    try:
        yield
    finally:
        posting.cancel()
        asyncio.run_coroutine_threadsafe(_close(opened), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _open(server: Server, tokens: Sequence[str], room_ids: Sequence[str]) -> list[RawSocket]:
    opened = await sockets.connect(server.port, tokens, lambda *_: None)
    await sockets.join(opened, room_ids)
    return opened


async def _close(opened: Sequence[RawSocket]) -> None:
    """Close sockets, and wait until nothing is being sent by them."""
    for one in opened:
        one.close()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
