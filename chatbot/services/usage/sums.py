"""Sums of the ledger's entries."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.models import LedgerEntry

from .latencies import Percentiles, find_percentiles, select_bin

MAX_ENTRIES_PER_QUERY = 5_000
FAILED = ("failed", "interrupted")
Group = str | UUID | None
Sums = dict[tuple[Any, Group], "UsageSum"]  # by a number, such as that of a bucket, and a group


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

    def add(self, row: Sequence[Any]) -> None:
        """Add the sums of turns of one bin of latencies, in the order of `_select_sums`."""
        _, _, first, turns, failed, cancelled, prompt_tokens, completion_tokens, micro_usd, answered = row
        self.turns += turns
        self.failed += failed
        self.cancelled += cancelled
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if micro_usd is not None:
            self.micro_usd = (self.micro_usd or 0) + micro_usd
        if first is not None:
            self.latencies[first] += answered

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


def split_span(
    connection: sa.Connection, span: tuple[int, int], *conditions: sa.ColumnElement[bool]
) -> list[tuple[int, int]]:
    """Return parts of a time with a bounded number of entries each, as far as these are spread evenly.

    A query reads those of one part: one of SQLite's holds up a whole process.
    """
    start, end = span
    counted = sa.select(sa.func.count()).select_from(LedgerEntry).where(*build_time_conditions(start, end), *conditions)
    parts = max(1, -(-(connection.scalar(counted) or 0) // MAX_ENTRIES_PER_QUERY))
    return list(pairwise(start + (end - start) * number // parts for number in range(parts + 1)))


def read_sums(
    connection: sa.Connection,
    group: sa.ColumnElement[Any],
    number: sa.ColumnElement[Any],
    span: tuple[int, int],
    *conditions: sa.ColumnElement[bool],
) -> Sums:
    """Return the sums of the entries from one millisecond up to another by number and group."""
    sums: defaultdict[tuple[Any, Group], UsageSum] = defaultdict(UsageSum)
    for part in split_span(connection, span, *conditions):
        statement = _select_sums(group, number, *build_time_conditions(*part), *conditions)
        for row in connection.execute(statement):
            sums[row.number, row.group].add(row)
        time.sleep(0)
    return sums
