"""The report of usage: sums of the ledger in buckets of the calendar."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.errors import TooManyBuckets
from chatbot.models import LedgerEntry
from chatbot.services.accounts.callers import Caller
from chatbot.services.usage import hours
from chatbot.services.usage.sums import Group, Sums, Usage, UsageSum, read_sums

from .periods import MAX_BUCKETS, BucketRun, BucketSize, Period

GROUPS: dict[str, Any] = {
    "model": LedgerEntry.__table__.c.model,
    "api_key": LedgerEntry.api_key_id,
    "collection": LedgerEntry.collection_id,
    "entry": LedgerEntry.entry,
}


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
        with read(snapshot=True) as connection:
            buckets += _read_run(connection, query, run, total)
        if len(buckets) > MAX_BUCKETS:
            raise TooManyBuckets(f"At most {MAX_BUCKETS} groups in all buckets; choose a shorter time or CSV.")
    return Report(buckets, total.to_usage())


def iterate_buckets(app: Flask, query: ReportQuery) -> Iterator[list[Bucket]]:
    """Iterate over the buckets of a report, some at a time; raises TooManyBuckets before the first."""
    runs = query.period.split(query.bucket)

    def iterate() -> Iterator[list[Bucket]]:
        for run in runs:
            with (
                app.app_context(),
                read(snapshot=True) as connection,
            ):  # the request is over when the second run is read
                buckets = _read_run(connection, query, run, UsageSum())
            yield buckets

    return iterate()


def read_by_model(connection: sa.Connection, span: tuple[int, int], *, origin_ms: int = 0, width_ms: int) -> Sums:
    """Return the sums of all users by bucket and model, from the hours of the ledger and its other entries.

    `connection` sees one snapshot. The buckets are `width_ms` wide and numbered from `origin_ms` on.
    """
    sums: Sums = {}
    spans = [span]
    has_whole_hours = origin_ms % hours.HOUR_MS == width_ms % hours.HOUR_MS == 0
    summed = hours.find_summed(connection, *span) if has_whole_hours else None
    if summed is not None:
        sums = hours.read_hours(connection, summed, origin_ms, width_ms)
        spans = [(span[0], summed[0] * hours.HOUR_MS), (summed[1] * hours.HOUR_MS, span[1])]
    for start, end in spans:
        if start < end:
            number = _number_buckets(origin_ms, width_ms)
            for key, usage in read_sums(connection, GROUPS["model"], number, (start, end)).items():
                sums.setdefault(key, UsageSum()).merge(usage)
    return sums


def _read_run(connection: sa.Connection, query: ReportQuery, run: BucketRun, total: UsageSum) -> list[Bucket]:
    """Return the buckets of a run that have turns, by time and group; all of them are added to the total."""
    span = (max(run.start_ms, query.period.start_ms), min(run.end_ms, query.period.end_ms))
    sums: Sums = {}
    for (number, group), one in _read_span(connection, query, run, span).items():
        sums.setdefault((number, group if query.group_by else None), UsageSum()).merge(one)
        total.merge(one)
    by_time = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1] is not None, str(item[0][1])))
    zone = query.period.zone
    return [
        Bucket(datetime.fromtimestamp((run.start_ms + at * run.width_ms) / 1000, zone), value, one.to_usage())
        for (at, value), one in by_time
    ]


def _read_span(connection: sa.Connection, query: ReportQuery, run: BucketRun, span: tuple[int, int]) -> Sums:
    if query.user_id is None and query.group_by in {None, "model"}:
        return read_by_model(connection, span, origin_ms=run.start_ms, width_ms=run.width_ms)
    group = sa.null() if query.group_by is None else GROUPS[query.group_by]
    conditions = [] if query.user_id is None else [LedgerEntry.user_id == query.user_id]
    return read_sums(connection, group, _number_buckets(run.start_ms, run.width_ms), span, *conditions)


def _number_buckets(origin_ms: int, width_ms: int) -> sa.ColumnElement[int]:
    return (LedgerEntry.opened_at_ms - origin_ms) // width_ms
