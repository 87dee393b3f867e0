"""Reports equal sums over the rows of the ledger, in each time zone and group."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.errors import TooManyBuckets
from chatbot.models import LedgerEntry
from chatbot.services.analytics import usage_report
from chatbot.services.analytics.periods import BucketSize, build_period
from chatbot.services.analytics.usage_report import ReportQuery
from chatbot.services.usage import latencies, sums
from chatbot.services.usage.ledger import to_milliseconds
from tests.conftest import Person

START = datetime(2026, 10, 1, tzinfo=UTC)
STATUSES = ["completed", "completed", "truncated", "failed", "interrupted", "cancelled", "pending"]


def seed(*user_ids: UUID | None, number: int = 400) -> list[dict[str, Any]]:
    """Fill the ledger with turns over sixty days, and return them."""
    random_ = random.Random(19)
    rows = [
        {
            "turn_id": uuid4(),
            "opened_at_ms": to_milliseconds(START) + random_.randrange(60 * 86_400_000),
            "user_id": random_.choice(user_ids),
            "entry": random_.choice(["api", "v1"]),
            "model": random_.choice(["small", "large", None]),
            "status": random_.choice(STATUSES),
            "prompt_tokens": random_.choice([None, 10, 2_000]),
            "completion_tokens": random_.choice([None, 5, 300]),
            "micro_usd": random_.choice([None, 7, 3_000_000_000]),
            "first_text_ms": random_.choice([None, 3, 180, 450, 2_900, 75_000]),
        }
        for _ in range(number)
    ]
    with write("test") as connection:
        connection.execute(sa.insert(LedgerEntry), rows)
    return rows


def total(rows: list[dict[str, Any]], name: str) -> int:
    return sum(row[name] or 0 for row in rows)


@pytest.mark.both_databases
@pytest.mark.parametrize("size", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns"])
@pytest.mark.parametrize("group_by", [None, "model", "entry"])
def test_report_is_what_a_walk_over_the_ledger_adds_up(
    context: Flask, ada: Person, size: BucketSize, zone: str, group_by: str | None
) -> None:
    rows = seed(UUID(ada.id), None)
    period = build_period(date(2026, 10, 20), datetime(2026, 11, 20, 7, 30), zone)
    report = usage_report.build(ReportQuery(period, size, group_by, UUID(ada.id)))
    inside = [
        row for row in rows if period.start_ms <= row["opened_at_ms"] < period.end_ms and row["user_id"] == UUID(ada.id)
    ]
    assert report.total.turns == len(inside) == sum(one.usage.turns for one in report.buckets)
    starts = sorted({to_milliseconds(one.start) for one in report.buckets})
    expected: Counter[tuple[int, Any]] = Counter()
    for row in inside:
        start = max(one for one in starts if one <= row["opened_at_ms"])
        expected[start, row[group_by] if group_by else None] += 1
    assert {(to_milliseconds(one.start), one.group): one.usage.turns for one in report.buckets} == expected
    for name in ("prompt_tokens", "completion_tokens", "micro_usd"):
        assert getattr(report.total, name) == total(inside, name)
        assert sum(getattr(one.usage, name) or 0 for one in report.buckets) == total(inside, name)
    assert report.total.cancelled == sum(row["status"] == "cancelled" for row in inside)
    assert report.total.failed == sum(row["status"] in {"failed", "interrupted"} for row in inside)
    assert all(one.start.astimezone(period.zone).utcoffset() == one.start.utcoffset() for one in report.buckets)


def test_buckets_can_be_read_some_at_a_time(context: Flask) -> None:
    seed(None)
    query = ReportQuery(build_period(date(2026, 10, 1), date(2026, 12, 1), "UTC"), "hour", "model")
    pages = list(usage_report.iterate_buckets(context, query))
    assert len(pages) > 1
    assert [one for page in pages for one in page] == usage_report.build(query).buckets


def test_long_reports_are_read_in_parts(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(None)
    query = ReportQuery(build_period(date(2026, 10, 1), date(2026, 12, 1), "UTC"), "month", "model")
    whole = usage_report.build(query)
    monkeypatch.setattr(sums, "MAX_ENTRIES_PER_QUERY", 7)
    assert usage_report.build(query) == whole


def test_report_of_too_many_groups_is_refused(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(None)
    monkeypatch.setattr(usage_report, "MAX_BUCKETS", 50)
    period = build_period(date(2026, 10, 1), date(2026, 12, 1), "UTC")
    with pytest.raises(TooManyBuckets):
        usage_report.build(ReportQuery(period, "day", "model"))
    assert usage_report.build(ReportQuery(period, "week", "model")).total.turns > 50


def test_report_of_nothing_is_empty(context: Flask) -> None:
    report = usage_report.build(ReportQuery(build_period(None, None, "UTC")))
    assert report.buckets == []
    assert (report.total.turns, report.total.micro_usd, report.total.first_text_ms.p50) == (0, None, None)


@pytest.mark.both_databases
def test_percentiles_are_those_of_a_sorted_list_within_a_bin(context: Flask) -> None:
    random_ = random.Random(3)
    values = [round(random_.lognormvariate(6.5, 1)) for _ in range(999)]
    at = to_milliseconds(START)
    row = {"opened_at_ms": at, "entry": "api", "status": "completed"}
    with write("test") as connection:
        rows = [{"turn_id": uuid4(), "first_text_ms": value, **row} for value in values]
        connection.execute(sa.insert(LedgerEntry), rows)
    period = build_period(START, START + timedelta(days=1), "UTC")
    found = usage_report.build(ReportQuery(period)).total.first_text_ms
    ordered = sorted(values)
    assert found.p50 == pytest.approx(ordered[499], rel=0.026)
    assert found.p95 == pytest.approx(ordered[949], rel=0.026)


@pytest.mark.parametrize("value", [0, 3, 199, 200, 499, 999, 1_999, 4_999, 9_999, 19_999, 49_999, 50_000, 300_000])
def test_percentiles_of_one_latency_are_near_it(context: Flask, value: int) -> None:
    with write("test") as connection:
        row = {"turn_id": uuid4(), "opened_at_ms": 1, "entry": "api", "status": "completed", "first_text_ms": value}
        connection.execute(sa.insert(LedgerEntry), row)
        first = connection.scalar(sa.select(latencies.select_bin(LedgerEntry.first_text_ms)))
    found = latencies.find_percentiles({first: 1})
    assert found.p50 == found.p95 == pytest.approx(value, rel=0.026, abs=2)
