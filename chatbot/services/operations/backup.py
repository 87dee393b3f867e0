"""The whole state as one file, the same from either database, and back into an empty one of either kind.

A line of JSON for the head, one for each table and each row, one for the end, compressed. What it holds is one
snapshot, read while others go on writing. Not in it: the secrets, only a mark that tells whether they are the
same; and what is made anew from the tables, like copies of vectors in a store and the index of words.
"""

import gzip
import hmac
import os
import secrets
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, StatementError

from chatbot.database import schema_version
from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import BackupRefused
from chatbot.models import Collection, SyncState, VectorCopy
from chatbot.services.accounts import keys

FORMAT = "chatbot backup 1"
ROWS = 2_000  # in one reading or writing
LEVEL = 1  # of compression: the fastest
ANEW = {
    VectorCopy.__tablename__,  # of a store: it fills again
    SyncState.__tablename__,  # devices that followed another database begin anew
}
NOTED = {"leases", "embedding_spaces"}  # what an application writes into an empty database by itself

# What reading a file raises that is none of ours or not whole; orjson's and gzip's errors are among them.
BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, IntegrityError, StatementError)

Step = Callable[[int], None]
Lines = Iterator[Any]


def count() -> int:
    """Return how many rows a backup will have; raises WrongSchema."""
    schema_version.require_current()
    with read() as connection:
        counts = (connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in _tables())
        return sum(one or 0 for one in counts)


def save(path: Path, step: Step) -> int:
    """Write all rows into a new file, which is there whole or not at all; returns their number.

    Raises BackupRefused where the file is there already or cannot be written, WrongSchema.
    """
    if os.path.lexists(path):  # a link that leads nowhere too
        raise BackupRefused(f"{path} is there already.")
    # Of a name that cannot have been there before, and a link of that name would be refused.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with gzip.open(raw, "wb", LEVEL) as file:
                rows = _write_all(file, step)
            raw.flush()
            os.fsync(raw.fileno())
        os.link(draft, path)  # unlike a rename it replaces no file
    except OSError as error:
        raise BackupRefused(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return rows


def restore(path: Path, step: Step, *, other_secrets: bool = False) -> int:
    """Read all rows of a file into an empty database, or none at all; returns their number.

    Raises BackupRefused for what is no whole backup of this version and these secrets, and for a database that is not
    empty; WrongSchema.
    """
    schema_version.require_current()
    try:
        with gzip.open(path, "rb") as file:
            return _read_all(map(orjson.loads, file), step, other_secrets)
    except BROKEN as error:
        raise BackupRefused(f"{path} is no whole backup: {str(error).partition(chr(10))[0]}") from error


def rows_of(path: Path) -> int:
    """Return how many rows a backup was begun with; raises BackupRefused."""
    try:
        with gzip.open(path, "rb") as file:
            return int(_head(orjson.loads(file.readline()))["rows"])
    except FileNotFoundError as error:
        raise BackupRefused(f"There is no file {path}.") from error
    except BROKEN as error:
        raise BackupRefused(f"{path} is no backup: {error}") from error


def _tables() -> list[sa.Table]:
    return [table for table in db.metadata.sorted_tables if table.name not in ANEW]


def _marks() -> list[str]:
    """Return fingerprints that only tell secrets apart: of the current one, then of the previous ones."""
    return [hmac.digest(key, b"chatbot secret of a backup", "sha256").hex() for key in keys.current_and_previous()]


def _write_all(file: gzip.GzipFile, step: Step) -> int:
    def line(value: object) -> None:
        file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))

    total = 0
    with read(snapshot=True) as connection:
        revision = schema_version.revision(connection)
        line({"format": FORMAT, "revision": revision, "mark": _marks()[0], "at": now(), "rows": count()})
        for table in _tables():
            line({"table": table.name, "columns": table.columns.keys(), "next": _next_number(connection, table)})
            for part in connection.execution_options(yield_per=ROWS).execute(_ordered(table)).partitions():
                for row in part:
                    line([b64encode(one).decode() if isinstance(one, bytes) else one for one in row])
                total += len(part)
                step(len(part))
        line({"end": total})
    return total


def _ordered(table: sa.Table) -> sa.Select[Any]:
    return sa.select(*table.columns).order_by(*table.primary_key.columns)


def _head(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise ValueError("it does not begin like one")
    return given


def _read_all(lines: Lines, step: Step, other_secrets: bool) -> int:
    head = _head(next(lines, None))
    if head["mark"] not in _marks() and not other_secrets:
        raise BackupRefused(
            "It was made with another SECRET_KEY, without which no user can log in: set that one, or restore what was "
            "said without it (--other-secrets)."
        )
    with write("restore") as connection:
        revision = schema_version.revision(connection)
        if head["revision"] != revision:
            raise BackupRefused(
                f"It was made at revision {head['revision']}, the database is at {revision}: restore it with the "
                "version that made it, then upgrade."
            )
        _require_empty(connection)
        return _insert_all(connection, lines, step)


def _require_empty(connection: sa.Connection) -> None:
    for table in reversed(_tables()):
        if table.name in NOTED:
            connection.execute(sa.delete(table))
        elif connection.execute(sa.select(table).limit(1)).first() is not None:
            raise BackupRefused(f"The database is not empty (it has {table.name}): restore into a new one.")


def _insert_all(connection: sa.Connection, lines: Lines, step: Step) -> int:
    total = 0
    for head, rows in _batches(lines):
        if "end" in head:
            if head["end"] != total:
                raise ValueError(f"it has {total} of {head['end']} rows")
            return total
        table = db.metadata.tables[head["table"]]
        readers = [(name, _reader(table.columns[name])) for name in head["columns"]]
        values = [{name: made(one) for (name, made), one in zip(readers, row, strict=True)} for row in rows]
        _set_next_number(connection, table, head["next"])
        if values:
            connection.execute(sa.insert(table), values)
        total += len(values)
        step(len(values))
    raise ValueError("it ends before its end")


def _batches(lines: Lines) -> Iterator[tuple[dict[str, Any], list[list[Any]]]]:
    """Yield each table's head with some of its rows at a time, and the end with none."""
    head = dict[str, Any]()
    rows = list[list[Any]]()
    for line in lines:
        if head and (isinstance(line, dict) or len(rows) == ROWS):
            yield head, rows
            rows = []
        if isinstance(line, dict):
            head = line
        else:
            rows.append(line)
    if head:
        yield head, rows


def _reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    """Return the function that converts a JSON value to a column's value."""
    kinds: dict[type, Callable[[Any], Any]] = {
        UUID: UUID,
        datetime: datetime.fromisoformat,
        date: date.fromisoformat,
        bytes: b64decode,
    }
    kind = datetime if isinstance(column.type, sa.TypeDecorator) else column.type.python_type
    make = kinds.get(kind)
    if make is None:
        return lambda value: value
    return lambda value: None if value is None else make(value)


def _numbered(table: sa.Table) -> sa.Column[Any] | None:
    """Return the column that the database itself numbers, where a table has one."""
    return table.autoincrement_column if table.dialect_options["sqlite"]["autoincrement"] else None


def _next_number(connection: sa.Connection, table: sa.Table) -> int | None:
    """Return a number above all that were ever given: processes that follow changes know the last ones."""
    column = _numbered(table)
    if column is None:
        return None
    highest = [connection.scalar(sa.select(sa.func.max(column))) or 0]
    if table.name == "knowledge_changes":
        highest.append(connection.scalar(sa.select(sa.func.max(Collection.last_change))) or 0)
    return max(highest) + 1


def _set_next_number(connection: sa.Connection, table: sa.Table, number: int | None) -> None:
    column = _numbered(table)
    if column is None or number is None:
        return
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(sequence, number, False)))
        return
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, number - 1))
