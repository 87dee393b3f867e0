"""The export of all that is held about a user: lines of JSON, read from the tables a page at a time.

No transaction lasts longer than a page, and a large account takes no more memory than a small one.
"""

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import ChatMessage, TurnTrace
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import grounding
from chatbot.services.knowledge.permissions import may_read

from .tables import USER_TABLES
from .user_table import Condition, UserTable, is_behind

FORMAT = 1
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_APPEND_NEWLINE
Rows = list[dict[str, Any]]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a table, as lines have them, and the key of the last one where more follow."""

    rows: Rows
    last_key: Key | None


ReadPage = Callable[[UserTable, Condition, Key | None], Page]


def stream(app: Flask, caller: Caller, require_open: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines of an export: a head, each row as `{"kind", "data"}`, and an end with their number.

    `require_open` is called before each page, and ends the export, which then has no end, by what it raises.
    """
    yield _build_line("export", {"format": FORMAT, "user_id": caller.user_id, "exported_at": now()})
    count = 0

    def read_page(table: UserTable, condition: Condition, key: Key | None) -> Page:
        with app.app_context():  # the request is over when the lines are read
            require_open()
            return _read_page(caller, table, condition, key)

    for table in USER_TABLES:
        for line in _stream_table(read_page, table, table.belongs_to(caller.user_id)):
            count += 1
            yield line
    yield _build_line("end", {"rows": count})


def _stream_table(read_page: ReadPage, table: UserTable, condition: Condition) -> Iterator[bytes]:
    """Yield the lines of some rows of a table, each page followed by the rows of its children."""
    if table.kind is None:
        return
    key: Key | None = None
    while True:
        page = read_page(table, condition, key)
        for row in page.rows:
            yield _build_line(table.kind, row)
        for child in table.children:
            ids = [row["id"] for row in page.rows]
            for parents in [[one] for one in ids] if child.is_large else [ids]:
                yield from _stream_table(read_page, child, child.belongs_to(parents))
        key = page.last_key
        if key is None:
            return
        time.sleep(0)


def _read_page(caller: Caller, table: UserTable, condition: Condition, key: Key | None) -> Page:
    keys: list[sa.Label[Any]] = [column.label(f"key_{number}") for number, column in enumerate(table.keys)]
    statement = sa.select(*table.columns, *keys).where(condition).order_by(*table.keys).limit(table.page_rows + 1)
    if key is not None:
        statement = statement.where(is_behind(table.keys, key))
    with read() as connection:
        found = connection.execute(statement).all()
        width = len(table.columns)
        names = [str(column.name) for column in table.columns]  # JSON takes no subclass of it
        rows = [dict(zip(names, row[:width], strict=True)) for row in found[: table.page_rows]]
        if table.model is ChatMessage:
            _refresh(connection, caller, rows, "citations")
        elif table.model is TurnTrace:
            _refresh(connection, caller, [row["facts"] for row in rows], "candidates")
    has_more = len(found) > table.page_rows
    return Page(rows, tuple(found[table.page_rows - 1][width:]) if has_more else None)


def _refresh(connection: sa.Connection, caller: Caller, rows: Rows, name: str) -> None:
    """Leave out the titles and quotes of documents that the caller may not read any more."""
    refreshed = grounding.refresh_citations(connection, may_read(caller), [row[name] or [] for row in rows])
    for row, citations in zip(rows, refreshed, strict=True):
        row[name] = citations


def _build_line(kind: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"kind": kind, "data": data}, _encode, OPTIONS)


def _encode(value: Any) -> Any:
    """Return bytes as Base64 (RFC 4648)."""
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
