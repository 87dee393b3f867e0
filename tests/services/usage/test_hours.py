"""Sums by the hour: reports are the same with them, and hours that change are summed anew."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.models import LedgerEntry, UsageHour
from chatbot.services.accounts.authentication import authenticate
from chatbot.services.analytics import overview, usage_report
from chatbot.services.analytics.periods import build_period
from chatbot.services.analytics.usage_report import Report, ReportQuery
from chatbot.services.usage import deleted_turns, hours, ledger, sums
from chatbot.services.usage.ledger import to_milliseconds
from tests.conftest import Person
from tests.support.roles import promote

pytestmark = pytest.mark.both_databases

START = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 4
END = START + timedelta(days=DAYS)
OVER = END + timedelta(hours=2, minutes=10)


def insert(opened_at: datetime, user_id: UUID | None = None, **values: Any) -> UUID:
    """Insert a settled turn; return its id."""
    turn_id = uuid4()
    row = {"turn_id": turn_id, "opened_at_ms": to_milliseconds(opened_at), "user_id": user_id}
    with write("test") as connection:
        connection.execute(sa.insert(LedgerEntry).values(row | {"entry": "api", "status": "completed", **values}))
    return turn_id


def fill(user_id: UUID) -> None:
    random_ = random.Random(20)
    for _ in range(150):
        insert(
            START + timedelta(milliseconds=random_.randrange(DAYS * 86_400_000)),
            random_.choice([user_id, None]),
            model=random_.choice(["small", "large", None]),
            status=random_.choice(["completed", "failed", "interrupted", "cancelled"]),
            prompt_tokens=random_.choice([None, 10, 2_000]),
            completion_tokens=random_.choice([None, 5]),
            micro_usd=random_.choice([None, 7, 3_000_000_000]),
            first_text_ms=random_.choice([None, 3, 450, 75_000]),
        )


def build_reports(user_id: UUID) -> list[Report]:
    """Return reports with ends at hours and between them, in zones with whole and half hours."""
    ends = [(date(2026, 10, 1), date(2026, 10, 6)), (START + timedelta(minutes=95), END - timedelta(minutes=7))]
    return [
        usage_report.build(ReportQuery(build_period(*pair, zone), size, group, whose))
        for pair in ends
        for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata")
        for size in ("hour", "day")
        for group in (None, "model", "entry")
        for whose in (None, user_id)
    ]


def find_hours() -> tuple[int, int] | None:
    with read() as connection:
        return hours.find_summed(connection, 0, to_milliseconds(OVER))


def count_turns() -> int:
    period = build_period(START, END, "UTC")
    return usage_report.build(ReportQuery(period)).total.turns


def test_reports_with_and_without_hours_are_the_same(context: Flask, ada: Person) -> None:
    user_id = UUID(ada.id)
    fill(user_id)
    promote(context, ada)
    without = build_reports(user_id)
    with time_machine.travel(OVER):
        hours.sum_finished()
    first = to_milliseconds(START) // hours.HOUR_MS
    found = find_hours()
    assert found is not None
    assert found[0] in {first, first + 1}
    assert found[1] == to_milliseconds(END) // hours.HOUR_MS + 2  # the hours that were over for ten minutes
    assert build_reports(user_id) == without
    with write("test") as connection:  # and they are what was read: without a turn the sums are there
        connection.execute(sa.delete(LedgerEntry))
    assert count_turns() == 150


def test_hour_with_a_running_turn_is_not_summed(context: Flask) -> None:
    insert(START)
    running = insert(START + timedelta(hours=5), status="pending")
    with time_machine.travel(OVER):
        hours.sum_finished()
        first = to_milliseconds(START) // hours.HOUR_MS
        assert find_hours() == (first, first + 5)
        with write("test") as connection:
            ledger.settle_turns(connection, [running], "interrupted")
        hours.sum_finished()
    assert find_hours() == (first, to_milliseconds(END) // hours.HOUR_MS + 2)
    assert count_turns() == 2


def test_turn_of_a_clock_that_was_set_back_is_summed(context: Flask) -> None:
    insert(START)
    with time_machine.travel(START + timedelta(hours=8, minutes=10)):
        hours.sum_finished()
    insert(START + timedelta(hours=2))
    with time_machine.travel(START + timedelta(hours=9, minutes=10)):
        hours.sum_finished()  # counts again after the next hour
        hours.sum_finished()
    assert count_turns() == 2


def test_hours_of_a_clock_that_was_ahead_are_summed_anew(context: Flask) -> None:
    insert(START)
    with time_machine.travel(START + timedelta(days=2)):
        hours.sum_finished()
    with time_machine.travel(START + timedelta(hours=4)):
        hours.sum_finished()
    first = to_milliseconds(START) // hours.HOUR_MS
    assert find_hours() == (first, first + 4)


def test_runner_that_is_late_has_the_hour_summed_anew(context: Flask) -> None:
    late = insert(START, status="cancelled", total_ms=None)  # by the job
    with time_machine.travel(OVER):
        hours.sum_finished()
        deleted_turns.settle(late, ledger.Settlement("completed", prompt_tokens=3, completion_tokens=4))
        assert find_hours() is None
        hours.sum_finished()
    report = usage_report.build(ReportQuery(build_period(START, END, "UTC")))
    assert (report.total.prompt_tokens, report.total.cancelled) == (3, 0)


def test_one_process_sums_at_a_time(context: Flask) -> None:
    insert(START)
    with time_machine.travel(OVER):
        held = leases.acquire(hours.LEASE_NAME, hours.LEASE_PERIOD)
        hours.sum_finished()
        assert find_hours() is None
        assert held is not None
        leases.release(held, completed=True)
        hours.sum_finished()
    assert find_hours() is not None


@pytest.mark.parametrize("moment", ["read", "stored"])
def test_turn_that_is_settled_while_its_hour_is_summed_is_not_missed(
    context: Flask, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    late = insert(START, status="cancelled", total_ms=None)
    read_sums = hours.read_sums

    def settle() -> None:
        deleted_turns.settle(late, ledger.Settlement("completed", prompt_tokens=3, completion_tokens=4))

    def read_then_settle(*arguments: Any) -> sums.Sums:
        found = read_sums(*arguments)
        monkeypatch.undo()
        settle()
        return found

    if moment == "read":
        monkeypatch.setattr(hours, "read_sums", read_then_settle)
    with time_machine.travel(OVER):
        hours.sum_finished()
        if moment == "stored":
            settle()
        assert find_hours() is None
        hours.sum_finished()
    assert find_hours() is not None
    total = usage_report.build(ReportQuery(build_period(START, END, "UTC"))).total
    assert (total.prompt_tokens, total.cancelled) == (3, 0)


def test_process_that_lost_the_lease_stores_no_hour_a_second_time(
    context: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(START)
    read_sums = hours.read_sums

    def read_then_lose(*arguments: Any) -> sums.Sums:
        found = read_sums(*arguments)
        monkeypatch.undo()
        with time_machine.travel(OVER + hours.LEASE_PERIOD * 2):
            hours.sum_finished()  # by another process
        return found

    monkeypatch.setattr(hours, "read_sums", read_then_lose)
    with time_machine.travel(OVER):
        hours.sum_finished()
    with read() as connection:
        rows = connection.execute(sa.select(sa.func.count(), sa.func.count(UsageHour.hour.distinct()))).one()
    assert rows[0] == rows[1] > 0
    assert count_turns() == 1


def test_overview_counts_the_users_that_spoke(context: Flask, ada: Person, eve: Person) -> None:
    promote(context, ada)
    for user_id in (UUID(ada.id), UUID(ada.id), None):
        insert(START, user_id)
    insert(END, UUID(eve.id))
    assert overview.get_overview(authenticate(ada.access_token), build_period(START, END, "UTC")).users == 1
