"""Periods of reports: calendar buckets in any time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chatbot.database.types import now
from chatbot.errors import InvalidInput, TooManyBuckets
from chatbot.services.usage.ledger import to_milliseconds

BucketSize = Literal["hour", "day", "week", "month"]
MAX_LENGTH = timedelta(days=400)
MAX_BUCKETS = 5_000
MAX_BUCKETS_PER_RUN = 50  # which are in memory at a time, each with its groups
DEFAULT_LENGTH = timedelta(days=30)
YEARS = range(1971, 9998)  # calendars of the others overflow somewhere
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BucketRun:
    """Buckets of equal width that follow one another, in milliseconds since 1970."""

    start_ms: int
    width_ms: int
    count: int

    @property
    def end_ms(self) -> int:
        """The end of the last bucket."""
        return self.start_ms + self.width_ms * self.count


@dataclass(frozen=True, slots=True)
class Period:
    """The time from a moment up to another, and the zone of its calendar."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    @property
    def start_ms(self) -> int:
        """The first millisecond."""
        return to_milliseconds(self.start)

    @property
    def end_ms(self) -> int:
        """The first millisecond after it."""
        return to_milliseconds(self.end)

    def split(self, size: BucketSize) -> list[BucketRun]:
        """Split it into buckets of the calendar; the first one may begin before it, the last one end after it.

        Days are 23 to 25 hours long where clocks change, so buckets of equal width make a run. Raises TooManyBuckets.
        """
        runs: list[BucketRun] = []
        for number, (start, end) in enumerate(pairwise(self._iterate_starts(size))):
            if number == MAX_BUCKETS:
                raise TooManyBuckets(f"At most {MAX_BUCKETS} buckets; choose a shorter time or larger buckets.")
            if end == start:  # a day that the zone skipped
                continue
            last = runs[-1] if runs else None
            if last and last.width_ms == end - start and last.count < MAX_BUCKETS_PER_RUN:
                runs[-1] = BucketRun(last.start_ms, last.width_ms, last.count + 1)
            else:
                runs.append(BucketRun(start, end - start, 1))
        return runs

    def _iterate_starts(self, size: BucketSize) -> Iterator[int]:
        """Iterate over the starts of the buckets and the end of the last one."""
        local = _floor(self.start.astimezone(self.zone).replace(tzinfo=None), size)
        moment = local.replace(tzinfo=self.zone).astimezone(UTC)
        while moment < self.end:
            yield to_milliseconds(moment)
            if size == "hour":  # of the clock of all zones: an hour that local clocks repeat is two
                moment += HOUR
            else:
                local = _floor(local + {"day": DAY, "week": 7 * DAY, "month": 31 * DAY}[size], size)
                moment = local.replace(tzinfo=self.zone).astimezone(UTC)
        yield to_milliseconds(moment)


def build_period(start: date | datetime | None, end: date | datetime | None, time_zone: str) -> Period:
    """Return a period: up to now and of 30 days unless its ends are given.

    A day begins at its midnight in the time zone, and a time without zone is of it. Raises InvalidInput, and
    TooManyBuckets for over 400 days.
    """
    zone = _load_zone(time_zone)
    end_at = now() if end is None else _to_moment(end, zone, field="to")
    start_at = end_at - DEFAULT_LENGTH if start is None else _to_moment(start, zone, field="from")
    if start_at >= end_at:
        raise InvalidInput({"from": ["Must be before `to`."]})
    if end_at - start_at > MAX_LENGTH:
        raise TooManyBuckets(f"At most {MAX_LENGTH.days} days.")
    return Period(start_at, end_at, zone)


def _floor(local: datetime, size: BucketSize) -> datetime:
    """Return the start of the bucket of a local time."""
    if size == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "week":
        return midnight - midnight.weekday() * DAY
    return midnight.replace(day=1) if size == "month" else midnight


def _load_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # absent, a path, a folder
        raise InvalidInput({"tz": ["There is no such time zone; name one as 'Europe/Berlin'."]}) from error


def _to_moment(value: date | datetime, zone: ZoneInfo, *, field: str) -> datetime:
    if value.year not in YEARS:
        raise InvalidInput({field: [f"Must be in the years {YEARS.start} to {YEARS.stop - 1}."]})
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
