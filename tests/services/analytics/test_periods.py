"""Buckets follow the calendar of their time zone, and each moment is in one of them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.errors import InvalidInput, TooManyBuckets
from chatbot.services.analytics.periods import BucketSize, Period, build_period
from chatbot.services.usage.ledger import to_milliseconds

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]


def list_starts(period: Period, size: BucketSize) -> list[datetime]:
    """Return the starts of all buckets, and the end of the last one, in the zone of the period."""
    starts = [run.start_ms + number * run.width_ms for run in period.split(size) for number in range(run.count)]
    starts.append(period.split(size)[-1].end_ms)
    return [datetime.fromtimestamp(start / 1000, UTC).astimezone(period.zone) for start in starts]


@given(
    start=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=200)),
    zone=st.sampled_from(ZONES),
    size=st.sampled_from(["hour", "day", "week", "month"]),
)
def test_buckets_cover_a_period_without_gap(start: datetime, length: timedelta, zone: str, size: BucketSize) -> None:
    period = build_period(start, start + length, zone)
    runs = period.split(size)
    assert runs[0].start_ms <= to_milliseconds(start)
    assert runs[-1].end_ms >= to_milliseconds(start + length)
    assert all(one.end_ms == following.start_ms for one, following in pairwise(runs))
    starts = list_starts(period, size)
    if size == "hour":
        moments = [one.astimezone(UTC) for one in starts]
        assert all(later - one == timedelta(hours=1) for one, later in pairwise(moments))
    else:
        at_midnight = [(one + timedelta(hours=1)).date() - one.date() for one in starts]
        assert set(at_midnight) <= {timedelta(0)}
    if size == "week":
        assert {one.weekday() for one in starts} == {0}
    if size == "month":
        assert {one.day for one in starts} == {1}


def test_days_of_changed_clocks_are_as_long_as_they_are() -> None:
    period = build_period(date(2026, 10, 24), date(2026, 10, 28), "Europe/Berlin")
    starts = list_starts(period, "day")
    assert [one.isoformat() for one in starts[:3]] == [
        "2026-10-24T00:00:00+02:00",
        "2026-10-25T00:00:00+02:00",
        "2026-10-26T00:00:00+01:00",
    ]
    hours = [run.width_ms / 3_600_000 for run in period.split("day") for _ in range(run.count)]
    assert hours == [24, 25, 24, 24]


def test_day_that_a_zone_skipped_has_no_bucket() -> None:
    period = build_period(date(2011, 12, 29), date(2012, 1, 1), "Pacific/Apia")
    assert [one.day for one in list_starts(period, "day")] == [29, 31, 1]
    assert all(run.width_ms > 0 for run in period.split("day"))


def test_period_without_ends_is_of_thirty_days_up_to_now() -> None:
    period = build_period(None, None, "UTC")
    assert period.end - period.start == timedelta(days=30)
    assert abs(period.end - datetime.now(UTC)) < timedelta(minutes=1)


def test_day_and_time_without_zone_are_of_the_time_zone() -> None:
    period = build_period(date(2026, 7, 1), datetime(2026, 7, 2, 12), "Europe/Berlin")
    assert period.start == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert period.end == datetime(2026, 7, 2, 12, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "../../etc/passwd", "/etc/localtime", "", "Europe", "a\0b", "Europe/Berlin "]
)
def test_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_period(None, None, zone)
    assert "tz" in caught.value.errors


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (date(2026, 1, 2), date(2026, 1, 1), "from"),
        (date(2026, 1, 1), date(2026, 1, 1), "from"),
        (date(1, 1, 1), date(2026, 1, 1), "from"),
        (None, date(9999, 12, 31), "to"),
    ],
)
def test_impossible_period_is_refused(start: date | None, end: date, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_period(start, end, "Pacific/Kiritimati")
    assert field in caught.value.errors


def test_too_long_a_period_and_too_many_buckets_are_refused() -> None:
    with pytest.raises(TooManyBuckets):
        build_period(date(2025, 1, 1), date(2026, 3, 1), "UTC")
    with pytest.raises(TooManyBuckets):
        build_period(date(2025, 1, 1), date(2025, 12, 1), "UTC").split("hour")
    assert sum(run.count for run in build_period(date(2025, 1, 1), date(2025, 7, 1), "UTC").split("hour")) == 181 * 24
