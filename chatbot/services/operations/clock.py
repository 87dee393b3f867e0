"""Whether the clock can be believed. The purge deletes by it, so a jump must not be followed at once."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import Lease

JUMP = timedelta(hours=1)  # between wall and steady time, while running
ABSENCE = timedelta(days=7)  # between the newest heartbeat and the first one of a process
PENALTY = timedelta(hours=24)

log = structlog.get_logger(__name__)


def read_boot_time() -> float:
    """Return the seconds since the machine started, which setting its clock does not change."""
    # Boot time goes on while a laptop sleeps, monotonic time does not; both ignore a clock that is set.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Watch:
    """Compares wall time with boot time from look to look; its first look compares with the last heartbeat."""

    def __init__(self, read_boot_time: Callable[[], float] = read_boot_time) -> None:
        self._read_boot_time = read_boot_time
        self._wall: datetime | None = None
        self._boot_seconds = 0.0

    def look(self, newest_heartbeat: datetime | None) -> bool:
        """Return whether the clock is suspicious."""
        wall = now()
        boot_seconds = self._read_boot_time()
        if self._wall is None:
            suspicious = newest_heartbeat is not None and abs(wall - newest_heartbeat) > ABSENCE
        else:
            passed = timedelta(seconds=boot_seconds - self._boot_seconds)
            suspicious = abs((wall - self._wall) - passed) > JUMP
        self._wall = wall
        self._boot_seconds = boot_seconds
        return suspicious


def heartbeat(name: str, watch: Watch) -> datetime | None:
    """Look at the clock, leave a heartbeat, and return until when the work of this lease must wait, if at all."""
    leases.ensure(name)
    with read() as connection:
        row = connection.execute(sa.select(Lease.heartbeat_at, Lease.not_before).where(Lease.name == name)).one()
    values = {"heartbeat_at": now()}
    not_before = row.not_before
    latest = now() + PENALTY
    if watch.look(row.heartbeat_at):
        values["not_before"] = not_before = latest
        log.warning("the clock jumped; nothing is purged before", work=name, not_before=latest.isoformat())
    elif not_before is not None and not_before > latest:  # of a clock that was set right since
        values["not_before"] = not_before = latest
    with write("heartbeat") as connection:
        connection.execute(sa.update(Lease).where(Lease.name == name).values(values))
    return not_before if not_before and not_before > now() else None


def ahead_of_the_database() -> timedelta:
    """Return by how much the clock of this host is ahead of the one that all hosts share, PostgreSQL's."""
    with read() as connection:
        if connection.dialect.name != "postgresql":
            return timedelta(0)
        theirs: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now() - theirs
