"""`make bench-sync`: conversations, search and sync of users with a million turns, on both databases.

Users of 1,000, 100,000 and 1,000,000 turns, ten in each conversation, are read in turns over one connection each, and
medians are told: milliseconds that pass, and in brackets those of processor of the worker and of the database, which
others on this machine do not change much. What changes cost and how fast other devices see them: bench/devices.py.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

import config
from bench import devices
from bench.processors import Connection, Meter
from bench.report import Report
from chatbot import create_app
from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import SyncChange, SyncCounter, SyncState
from chatbot.services.operations import seeding
from chatbot.services.sync import cursors
from chatbot.services.sync.cursors import Cursor
from tests.support.chaos import stack
from tests.support.processes import Server

SIZES = (1_000, 100_000, 1_000_000)  # turns of each user
BLOCK = 10  # requests of one user in a row
AWAY = timedelta(days=7)
MAX_MS = {"conversations": 8.0, "empty": 4.0, "changes": 80.0, "window": 50.0, "q": 40.0}
SAID = {
    "conversations": "50 conversations",
    "empty": "an empty sync",
    "changes": "1,000 changes",
    "window": "first window of 20 x 10 turns",
    "q": "q over the turns",
}
MAX_BYTES = 1.3  # of what changed


class User:
    """A made-up user, with their cursors."""

    def __init__(self, server: Server, number: int, turns: int) -> None:
        self.number = number
        self.turns = turns
        body = {"email": f"bench-{number}@example.com", "password": seeding.PASSWORD}
        token = server.call("POST", "/api/users/login/", body)[2]["access_token"]
        self.connection = Connection(server, token)
        self.cursors: dict[str, str] = {}

    def find_cursors(self, user_id: UUID) -> None:
        """Make cursors of devices that know all, all but 1,000 changes, and all up to seven days ago."""
        own = SyncChange.user_id == user_id
        old = sa.select(sa.func.max(SyncChange.position)).where(own, SyncChange.changed_at < now() - AWAY)
        with read() as connection:
            epoch = connection.execute(sa.select(SyncState.epoch)).scalar_one()
            last = connection.execute(
                sa.select(SyncCounter.position).where(SyncCounter.user_id == user_id)
            ).scalar_one()
            positions = {"all": last, "thousand": last - 1_000, "week": connection.scalar(old) or 0}
        for name, position in positions.items():
            self.cursors[name] = cursors.encode(Cursor(epoch, user_id, position, 0, None, now()))

    def paths(self, dice: random.Random) -> dict[str, str]:
        """Return a request of each kind."""
        words = "+".join(dice.sample(seeding.text(dice, 8).split(), 2))
        return {
            "conversations": "/api/conversations/?limit=50",
            "empty": f"/api/sync/?since={self.cursors['all']}",
            "changes": f"/api/sync/?limit=1000&since={self.cursors['thousand']}",
            "window": "/api/sync/?window=20",
            "q": f"/api/chat-history/?q={words}",
        }


def fill(server: Server, sizes: tuple[int, ...]) -> list[UUID]:
    """Make the users and their turns."""
    app = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    with app.app_context():
        ids = seeding.users(len(sizes))
        seeding.turns(ids, sizes, lambda _: None)
        seeding.settle()
    return ids


def prepare(server: Server, ids: list[UUID], sizes: tuple[int, ...]) -> list[User]:
    """Return the users, logged in."""
    app = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    users = [User(server, number, turns) for number, turns in enumerate(sizes)]
    with app.app_context():
        for user, user_id in zip(users, ids, strict=True):
            user.find_cursors(user_id)
    return users


def wait_for_index(users: list[User]) -> float:
    """Search until all turns are indexed; returns the seconds."""
    started = time.monotonic()
    for user in users:
        user.connection.close()  # the server has closed those that were idle while others' turns were indexed
        while user.connection.fetch("/api/chat-history/?q=word1")[0] == 503:
            time.sleep(0.5)
    for user in users:
        user.connection.close()
    return time.monotonic() - started


def measure_reading(
    kind: str, server: Server, users: list[User], names: Sequence[str], rounds: int, report: Report
) -> None:
    """Make requests of some kinds as each of the users, in turns."""
    dice = random.Random(3)
    read_blocks(server, users, names, dice)  # warm
    meters: dict[tuple[str, int], list[Meter]] = {}
    for _ in range(rounds):
        for key, meter in read_blocks(server, users, names, dice).items():
            meters.setdefault(key, []).append(meter)
    for (name, turns), blocks in meters.items():
        walls = [wall for block in blocks for wall in block.walls]
        middle = statistics.median(walls)
        report.tell(f"{kind}: {SAID[name]}, of {turns:,} turns, p50", middle, "ms", MAX_MS[name], more=False)
        report.tell("  processor of the worker", statistics.median(block.worker_ms for block in blocks) / BLOCK, "ms")
        if kind != "sqlite":
            database = statistics.median(block.database_ms for block in blocks)
            report.tell("  processor of the database", database / BLOCK, "ms")


def read_blocks(
    server: Server, users: list[User], names: Sequence[str], dice: random.Random
) -> dict[tuple[str, int], Meter]:
    """Make a block of requests of each kind as each user."""
    meters = {}
    for name in names:
        for user in users:
            paths = [user.paths(dice)[name] for _ in range(BLOCK)]
            with Meter(server) as meter:
                for path in paths:
                    meter.call(user.connection, path)
            meters[name, user.turns] = meter
    return meters


def measure_week(kind: str, user: User, report: Report) -> None:
    """Follow as a device that was away for seven days, and tell the bytes that it gets of those that changed."""
    connection = user.connection
    cursor = user.cursors["week"]
    received = 0
    things: dict[str, int] = {}
    more: Any = True
    while more:
        page: dict[str, Any] = connection.get(f"/api/sync/?limit=1000&since={cursor}")
        received += connection.received
        things |= {f"{item['type']} {item['id']}": measure_json(item.get("data")) for item in page["items"]}
        cursor = page["next_cursor"]
        more = page["more"]
    report.tell(
        f"{kind}: {len(things):,} things of 7 days, bytes", received / sum(things.values()), "x", MAX_BYTES, more=False
    )


def measure_json(data: Any) -> int:
    """Return how many bytes something has as JSON without spaces."""
    return len(orjson.dumps(data))


def measure(kind: str, sizes: tuple[int, ...], rounds: int, report: Report) -> None:
    """Fill a database of one kind, and read it."""
    with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as settings:
        settings |= {"RETENTION_DAYS": "36500"}  # the worker's own purge would be first
        server = Server(Path(name), LLM="memory", EMBEDDER="memory", LOG_LEVEL="warning", **settings).migrate()
        started = time.monotonic()
        ids = fill(server, sizes)
        report.tell(f"{kind}: turns made", sum(sizes) / (time.monotonic() - started), "turns/s")
        server.start()
        try:
            users = prepare(server, ids, sizes)
            measure_reading(kind, server, users, [name for name in MAX_MS if name != "q"], rounds, report)
            measure_week(kind, users[min(1, len(users) - 1)], report)
            report.tell(f"{kind}: {sum(sizes):,} turns indexed", wait_for_index(users), "s")
            measure_reading(kind, server, users, ["q"], rounds, report)
        finally:
            server.stop()


PARTS: dict[str, Callable[[str, int, Report], None]] = {
    "events": devices.measure_events,
    "recording": devices.measure_recording,
    "ui": devices.measure_ui,
}


def main() -> int:
    """Run it; returns how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, action="append", help="of a user; default: 1,000, 100,000, 1,000,000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", choices=["sqlite", "hosts"], action="append")
    parser.add_argument("--part", choices=["reading", *PARTS], action="append")
    options = parser.parse_args()
    report = Report("sync")
    wanted = options.part or ["reading", *PARTS]
    for kind in options.database or ["sqlite", "hosts"]:
        for part in wanted:
            if part == "reading":
                measure(kind, tuple(options.turns or SIZES), options.rounds, report)
            else:
                PARTS[part](kind, options.rounds, report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
