"""The report of usage: sums of the ledger in buckets of the calendar."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import LedgerEntry
from chatbot.services.accounts.callers import Caller

from .latencies import Percentiles, find_percentiles, select_bin
from .periods import BucketSize, Period, Run

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
    """Usage by time, and all of it."""

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


def of_caller(
    caller: Caller, period: Period, *, bucket: BucketSize = "day", group_by: str | None = None
) -> ReportQuery:
    """Return the query of the caller's own usage."""
    return ReportQuery(period, bucket, group_by, caller.user_id)


def build(query: ReportQuery) -> Report:
    """Return the report; raises TooManyBuckets."""
    runs = query.period.split(query.bucket)
    total = UsageSum()
    with read(snapshot=True) as connection:
        buckets = [one for run in runs for one in _read_run(connection, query, run, total)]
    return Report(buckets, total.to_usage())


def iterate_buckets(query: ReportQuery) -> Iterator[list[Bucket]]:
    """Iterate over the buckets of a report, some at a time; raises TooManyBuckets before the first."""
    runs = query.period.split(query.bucket)

    def iterate() -> Iterator[list[Bucket]]:
        for run in runs:
            with read() as connection:
                buckets = _read_run(connection, query, run, UsageSum())
            yield buckets

    return iterate()


def is_in(period: Period, run: Run) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of entries of a period and of a run of its buckets."""
    opened = LedgerEntry.opened_at_ms
    return opened >= max(run.start_ms, period.start_ms), opened < min(run.end_ms, period.end_ms)


def select_sums(
    group: sa.ColumnElement[Any], number: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of the entries' sums by group, number and bin of latencies, for `add_up`."""
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


def add_up(rows: Iterable[sa.Row[Any]], total: UsageSum) -> dict[tuple[int, Group], UsageSum]:
    """Return the sums by number and group; all of them are added to the total."""
    sums: defaultdict[tuple[int, Group], UsageSum] = defaultdict(UsageSum)
    for row in rows:
        sums[row.number, row.group].add(row)
        total.add(row)
    return sums


def _read_run(connection: sa.Connection, query: ReportQuery, run: Run, total: UsageSum) -> list[Bucket]:
    """Return the buckets of a run that have turns, by time and group; all of them are added to the total."""
    group = sa.null() if query.group_by is None else GROUPS[query.group_by]
    number = (LedgerEntry.opened_at_ms - run.start_ms) // run.width_ms
    conditions = list(is_in(query.period, run))
    if query.user_id is not None:
        conditions.append(LedgerEntry.user_id == query.user_id)
    sums = add_up(connection.execute(select_sums(group, number, *conditions)), total)
    by_time = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1] is not None, str(item[0][1])))
    return [
        Bucket(
            datetime.fromtimestamp((run.start_ms + at * run.width_ms) / 1000, query.period.zone), value, sum_.to_usage()
        )
        for (at, value), sum_ in by_time
    ]
