"""Sums of the ledger by hour and model: reports of all users over long periods are added up from them.

An hour is summed when it is over for a while and none of its turns runs: its entries do not change any more. One
without turns has a row too, so that the rows tell which hours are summed. Where an hour changes all the same, because a
clock was set back or a runner was late, it is summed anew. They are a copy: all of them may be deleted.
"""

import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import LeaseLost
from chatbot.models import LedgerEntry, UsageHour
from chatbot.models.usage import IS_OPEN

from . import latencies
from .ledger import to_milliseconds
from .sums import Sums, UsageSum, build_time_conditions, read_sums

HOUR_MS = 3_600_000
SUMMING_DELAY = timedelta(minutes=10)  # after the end of an hour, before it is summed
RECOUNTED_HOURS = 24  # whose turns are counted again after each
MAX_HOURS_PER_QUERY = 1_000
LEASE_NAME = "usage_hours"
LEASE_PERIOD = timedelta(minutes=10)
SUMMED = ("turns", "failed", "cancelled", "prompt_tokens", "completion_tokens", "micro_usd")
_entry = LedgerEntry.__table__.c


def sum_finished() -> None:
    """Sum all hours that are over, one after another, unless another process does.

    A turn that is settled late takes the lease away: what was read before it is not stored.
    """
    if _find_next() is None and not _has_future_hours():
        return
    held = leases.acquire(LEASE_NAME, LEASE_PERIOD)
    if held is None:
        return
    is_completed = False
    try:
        _delete_future_hours(held)
        while (hour := _find_next()) is not None:
            _sum(held, hour)
            time.sleep(0.001)
        _delete_changed_hours(held)
        is_completed = True
    except LeaseLost:
        pass  # the next run begins anew
    finally:
        leases.release(held, completed=is_completed)


def invalidate(connection: sa.Connection, opened_at_ms: int) -> None:
    """Let the hour of a turn, and the later ones, be summed anew; in the transaction that changes its entry."""
    leases.revoke(connection, LEASE_NAME)
    _delete_from(connection, opened_at_ms // HOUR_MS)


def find_summed(connection: sa.Connection, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """Return the first of the summed hours within a time and the one behind the last, or None where there is none."""
    first = connection.scalar(sa.select(sa.func.min(UsageHour.hour)))
    last = connection.scalar(sa.select(sa.func.max(UsageHour.hour)))
    if first is None or last is None:
        return None
    start = max(first, -(-start_ms // HOUR_MS))
    end = min(last + 1, end_ms // HOUR_MS)
    return (start, end) if start < end else None


def read_hours(connection: sa.Connection, hours: tuple[int, int], origin_ms: int, width_ms: int) -> Sums:
    """Return the sums of hours by bucket and model, in the snapshot in which `find_summed` found them.

    The buckets are `width_ms` wide and numbered from `origin_ms` on, which is the start of an hour.
    """
    number = ((UsageHour.hour - origin_ms // HOUR_MS) // (width_ms // HOUR_MS)).label("number")
    columns = [sa.cast(sa.func.sum(getattr(UsageHour, name)), sa.BigInteger).label(name) for name in SUMMED]
    found: Sums = {}
    for start in range(hours[0], hours[1], MAX_HOURS_PER_QUERY):
        end = min(start + MAX_HOURS_PER_QUERY, hours[1])
        within = (UsageHour.hour >= start, UsageHour.hour < end)
        of_hours = sa.select(number, UsageHour.model, *columns).where(*within, UsageHour.turns > 0)
        for row in connection.execute(of_hours.group_by(number, UsageHour.model)):
            sums = UsageSum(**{name: getattr(row, name) for name in SUMMED})
            found.setdefault((row.number, row.model), UsageSum()).merge(sums)
        packed = connection.execute(sa.select(number, UsageHour.model, UsageHour.latencies).where(*within))
        for key, counts in latencies.add_up([((at, model), content) for at, model, content in packed]).items():
            found[key].latencies.update(counts)
        time.sleep(0)
    return found


def _find_next() -> int | None:
    """Return the hour to be summed next, None while it is not over or a turn of it runs."""
    with read() as connection:
        last = connection.scalar(sa.select(sa.func.max(UsageHour.hour)))
        if last is None:
            first_ms = connection.scalar(sa.select(sa.func.min(LedgerEntry.opened_at_ms)))
            if first_ms is None:
                return None
            last = first_ms // HOUR_MS - 1
        hour = last + 1
        end_ms = (hour + 1) * HOUR_MS
        if end_ms > to_milliseconds(now() - SUMMING_DELAY):
            return None
        runs = sa.select(LedgerEntry.turn_id).where(IS_OPEN, LedgerEntry.opened_at_ms < end_ms).limit(1)
        return hour if connection.scalar(runs) is None else None


def _sum(held: leases.Held, hour: int) -> None:
    with read() as connection:
        found = read_sums(
            connection, _entry.model, _entry.opened_at_ms // HOUR_MS, (hour * HOUR_MS, (hour + 1) * HOUR_MS)
        )
    rows = [_to_row(hour, None if model is None else str(model), usage) for (_, model), usage in found.items()]
    with write("sum_usage_hour", durable=False) as connection:
        leases.confirm(connection, held)
        connection.execute(sa.insert(UsageHour), rows or [_to_row(hour, None, UsageSum())])


def _has_future_hours() -> bool:
    """Return whether hours were summed that are not over: the clock was set back since."""
    is_ahead = UsageHour.hour >= to_milliseconds(now()) // HOUR_MS
    with read() as connection:
        return connection.scalar(sa.select(UsageHour.id).where(is_ahead).limit(1)) is not None


def _delete_future_hours(held: leases.Held) -> None:
    if _has_future_hours():
        with write("delete_usage_hours") as connection:
            leases.confirm(connection, held)
            _delete_from(connection, to_milliseconds(now()) // HOUR_MS)


def _delete_changed_hours(held: leases.Held) -> None:
    """Delete the last hours where there are other turns than were summed: they came with a clock that was set back."""
    with read(snapshot=True) as connection:
        last = connection.scalar(sa.select(sa.func.max(UsageHour.hour)))
        if last is None:
            return
        first = last - RECOUNTED_HOURS + 1
        summed = connection.scalar(sa.select(sa.func.sum(UsageHour.turns)).where(UsageHour.hour >= first))
        oldest = connection.scalar(sa.select(sa.func.min(UsageHour.hour)))
        span = (max(first, oldest or 0) * HOUR_MS, (last + 1) * HOUR_MS)
        counted = connection.scalar(sa.select(sa.func.count()).where(*build_time_conditions(*span)))
    if summed != counted:
        with write("delete_usage_hours") as connection:
            leases.confirm(connection, held)
            _delete_from(connection, span[0] // HOUR_MS)


def _delete_from(connection: sa.Connection, hour: int) -> None:
    connection.execute(sa.delete(UsageHour).where(UsageHour.hour >= hour))


def _to_row(hour: int, model: str | None, usage: UsageSum) -> dict[str, Any]:
    sums = {name: getattr(usage, name) for name in SUMMED}
    return {"hour": hour, "model": model, "latencies": latencies.pack(usage.latencies), **sums}
