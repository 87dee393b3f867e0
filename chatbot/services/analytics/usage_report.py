"""The report of usage: sums of the ledger in buckets of the calendar."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.errors import TooManyBuckets
from chatbot.models import LedgerEntry
from chatbot.services.accounts.callers import Caller

from .latencies import Percentiles, find_percentiles, select_bin
from .periods import MAX_BUCKETS, BucketRun, BucketSize, Period

MAX_ENTRIES_PER_QUERY = 5_000
FAILED = ("failed", "interrupted")
GROUPS: dict[str, Any] = {
    "model": LedgerEntry.model,
    "api_key": LedgerEntry.api_key_id,
    "collection": LedgerEntry.collection_id,
    "entry": LedgerEntry.entry,
}
Group = str | UUID | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of turns; `micro_usd` is None where no model has a price."""

    turns: int
    failed: int
    cancelled: int
    prompt_tokens: int
    completion_tokens: int
    micro_usd: int | None
    first_text_ms: Percentiles


@dataclass(frozen=True, slots=True)
class Bucket:
    """The usage of a time, of one model or another group."""

    start: datetime
    group: Group
    usage: Usage


@dataclass(frozen=True, slots=True)
class Report:
    """Usage per bucket, and the total."""

    buckets: list[Bucket]
    total: Usage


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """The period of a report, its buckets and groups; of one user or, with None, of all."""

    period: Period
    bucket: BucketSize = "day"
    group_by: str | None = None
    user_id: UUID | None = None


@dataclass(slots=True)
class UsageSum:
    """Usage that is added up row by row."""

    turns: int = 0
    failed: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    micro_usd: int | None = None
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, row: sa.Row[Any]) -> None:
        """Add the sums of turns of one bin of latencies."""
        self.turns += row.turns
        self.failed += row.failed
        self.cancelled += row.cancelled
        self.prompt_tokens += row.prompt_tokens
        self.completion_tokens += row.completion_tokens
        if row.micro_usd is not None:
            self.micro_usd = (self.micro_usd or 0) + row.micro_usd
        if row.bin is not None:
            self.latencies[row.bin] += row.answered

    def merge(self, other: "UsageSum") -> None:
        """Add other usage."""
        for name in ("turns", "failed", "cancelled", "prompt_tokens", "completion_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.micro_usd is not None:
            self.micro_usd = (self.micro_usd or 0) + other.micro_usd
        self.latencies.update(other.latencies)

    def to_usage(self) -> Usage:
        """Return the usage up to now."""
        return Usage(
            turns=self.turns,
            failed=self.failed,
            cancelled=self.cancelled,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            micro_usd=self.micro_usd,
            first_text_ms=find_percentiles(self.latencies),
        )


def build_caller_query(
    caller: Caller, period: Period, *, bucket: BucketSize = "day", group_by: str | None = None
) -> ReportQuery:
    """Return the query of the caller's own usage."""
    return ReportQuery(period, bucket, group_by, caller.user_id)


def build(query: ReportQuery) -> Report:
    """Return the report; raises TooManyBuckets, also of the groups of all of them."""
    total = UsageSum()
    buckets: list[Bucket] = []
    for run in query.period.split(query.bucket):
        with read() as connection:
            buckets += _read_run(connection, query, run, total)
        if len(buckets) > MAX_BUCKETS:
            raise TooManyBuckets(f"At most {MAX_BUCKETS} groups in all buckets; choose a shorter time or CSV.")
    return Report(buckets, total.to_usage())


def iterate_buckets(app: Flask, query: ReportQuery) -> Iterator[list[Bucket]]:
    """Iterate over the buckets of a report, some at a time; raises TooManyBuckets before the first."""
    runs = query.period.split(query.bucket)

    def iterate() -> Iterator[list[Bucket]]:
        for run in runs:
            with app.app_context(), read() as connection:  # the request is over when the second run is read
                buckets = _read_run(connection, query, run, UsageSum())
            yield buckets

    return iterate()


def build_time_conditions(start_ms: int, end_ms: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of the entries from one millisecond up to another."""
    return LedgerEntry.opened_at_ms >= start_ms, LedgerEntry.opened_at_ms < end_ms


def _select_sums(
    group: sa.ColumnElement[Any], number: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the entries' sums by group, number and bin of latencies, for `UsageSum.add`."""
    entries = (
        sa.select(
            group.label("group"),
            number.label("number"),
            select_bin(LedgerEntry.first_text_ms).label("bin"),
            LedgerEntry.status,
            LedgerEntry.prompt_tokens,
            LedgerEntry.completion_tokens,
            LedgerEntry.micro_usd,
        )
        .where(*conditions)
        .subquery()
    )
    columns = entries.c
    sums = {
        "turns": sa.func.count(),
        "failed": sa.func.sum(sa.case((columns.status.in_(FAILED), 1), else_=0)),
        "cancelled": sa.func.sum(sa.case((columns.status == "cancelled", 1), else_=0)),
        "prompt_tokens": sa.func.coalesce(sa.func.sum(columns.prompt_tokens), 0),
        "completion_tokens": sa.func.coalesce(sa.func.sum(columns.completion_tokens), 0),
        "micro_usd": sa.cast(sa.func.sum(columns.micro_usd), sa.BigInteger),
        "answered": sa.func.count(columns.bin),
    }
    key = (columns.group, columns.number, columns.bin)
    return sa.select(*key, *(column.label(name) for name, column in sums.items())).group_by(*key)


def read_sums(
    connection: sa.Connection,
    group: sa.ColumnElement[Any],
    number: sa.ColumnElement[Any],
    span: tuple[int, int],
    *conditions: sa.ColumnElement[bool],
) -> dict[tuple[int, Group], UsageSum]:
    """Return the sums of the entries from one millisecond up to another by number and group.

    A query reads a bounded number of entries, as far as they are spread evenly: SQLite's hold up a whole process.
    """
    start, end = span
    counted = sa.select(sa.func.count()).select_from(LedgerEntry).where(*build_time_conditions(start, end), *conditions)
    queries = max(1, -(-(connection.scalar(counted) or 0) // MAX_ENTRIES_PER_QUERY))
    ends = [start + (end - start) * one // queries for one in range(queries + 1)]
    sums: defaultdict[tuple[int, Group], UsageSum] = defaultdict(UsageSum)
    for part in pairwise(ends):
        statement = _select_sums(group, number, *build_time_conditions(*part), *conditions)
        for row in connection.execute(statement):
            sums[row.number, row.group].add(row)
        time.sleep(0)
    return sums


def _read_run(connection: sa.Connection, query: ReportQuery, run: BucketRun, total: UsageSum) -> list[Bucket]:
    """Return the buckets of a run that have turns, by time and group; all of them are added to the total."""
    group = sa.null() if query.group_by is None else GROUPS[query.group_by]
    number = (LedgerEntry.opened_at_ms - run.start_ms) // run.width_ms
    conditions = [] if query.user_id is None else [LedgerEntry.user_id == query.user_id]
    span = (max(run.start_ms, query.period.start_ms), min(run.end_ms, query.period.end_ms))
    sums = read_sums(connection, group, number, span, *conditions)
    for one in sums.values():
        total.merge(one)
    by_time = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1] is not None, str(item[0][1])))
    zone = query.period.zone
    return [
        Bucket(datetime.fromtimestamp((run.start_ms + at * run.width_ms) / 1000, zone), value, one.to_usage())
        for (at, value), one in by_time
    ]
