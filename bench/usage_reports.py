"""Reports over a ledger of two million turns, with sums by the hour and without them; a CSV of a million rows."""

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from bench.applications import application
from bench.report import Report
from chatbot.database.transactions import write
from chatbot.database.types import now, uuid7
from chatbot.models import LedgerEntry, UsageHour
from chatbot.services.analytics import usage_report
from chatbot.services.analytics.periods import Period, build_period
from chatbot.services.analytics.usage_report import ReportQuery
from chatbot.services.usage import hours
from chatbot.services.usage.ledger import to_milliseconds
from tests.conftest import join
from tests.support.chaos import stack

DAYS = 30
MODELS = ("gpt-5", "gpt-5-mini", "llama3.2", "smollm2")
BATCH = 50_000
ROUNDS = 5
CSV_HOURS = 5_000
CSV_KEYS = 200
MUST = {"overview": 80.0, "month": 8.0, "csv": 30.0}


def measure(report: Report, kind: str, turns: int) -> None:
    """Measure reports on one database."""
    with (
        tempfile.TemporaryDirectory() as name,
        stack(kind, Path(name)) as settings,
        application(Path(name), **settings) as app,
        app.app_context(),
    ):
        user_id = UUID(join(app.test_client(), "ada").id)
        _fill(_make_turns(turns, user_id))
        _measure_reports(report, kind, user_id)
        if kind == "sqlite":
            _measure_csv(report, app)


def _measure_reports(report: Report, kind: str, user_id: UUID) -> None:
    period = build_period(now() - timedelta(days=DAYS), now(), "Europe/Berlin")
    reports = {
        "overview": ReportQuery(period, "day", "model"),
        "month": ReportQuery(period, "day", "model", user_id),
    }
    without = {name: _time(partial(usage_report.build, query)) for name, query in reports.items()}
    expected = {name: usage_report.build(query) for name, query in reports.items()}
    started = time.monotonic()
    hours.sum_finished()
    report.tell(f"{kind}: all hours summed in", time.monotonic() - started, "s")
    for name, query in reports.items():
        assert usage_report.build(query) == expected[name]
        report.tell(f"{kind}: {name} of 30 days by day and model, from entries", without[name], "ms")
        summed = _time(partial(usage_report.build, query))
        report.tell(f"{kind}: the same, from hours", summed, "ms", MUST[name], more=False)


def _measure_csv(report: Report, app: Flask) -> None:
    """Measure the memory of a report of a million rows, of which a client takes one page after the other."""
    with write("bench") as connection:
        connection.execute(sa.delete(LedgerEntry))
        connection.execute(sa.delete(UsageHour))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    _fill(_make_keys(start))
    period = Period(start, start + timedelta(hours=CSV_HOURS), build_period(None, None, "UTC").zone)
    before = _reset_peak()
    rows = sum(len(page) for page in usage_report.iterate_buckets(app, ReportQuery(period, "hour", "api_key")))
    assert rows == CSV_HOURS * CSV_KEYS
    report.tell(f"memory of a report of {rows} rows", _read_peak() - before, "MB", MUST["csv"], more=False)


def _make_turns(turns: int, user_id: UUID) -> Iterator[dict[str, Any]]:
    dice = random.Random(1)
    first = to_milliseconds(now() - timedelta(days=DAYS))
    for number in range(turns):  # in the order of time, as they come
        yield {
            "turn_id": uuid7(),
            "opened_at_ms": first + number * DAYS * 86_400_000 // turns,
            "user_id": user_id if number % 1_000 == 0 else None,
            "entry": "api",
            "model": dice.choice(MODELS),
            "status": "completed" if number % 50 else "failed",
            "prompt_tokens": dice.randrange(2_000),
            "completion_tokens": dice.randrange(500),
            "micro_usd": dice.randrange(1_000),
            "first_text_ms": round(dice.lognormvariate(6.5, 1)),
        }


def _make_keys(start: datetime) -> Iterator[dict[str, Any]]:
    keys = [uuid7() for _ in range(CSV_KEYS)]
    for hour, key in itertools.product(range(CSV_HOURS), keys):
        at = to_milliseconds(start + timedelta(hours=hour))
        yield {"turn_id": uuid7(), "opened_at_ms": at, "api_key_id": key, "entry": "api", "status": "completed"}


def _fill(rows: Iterator[dict[str, Any]]) -> None:
    for batch in iter(lambda: list(itertools.islice(rows, BATCH)), []):
        with write("bench") as connection:
            connection.execute(sa.insert(LedgerEntry), batch)


def _time(work: Callable[[], object]) -> float:
    """Return the median of some calls, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _reset_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins anew
    return _read_peak()


def _read_peak() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
