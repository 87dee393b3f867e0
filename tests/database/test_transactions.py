"""SQLite's lock, full disks and databases that go away."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import errors
from chatbot.database.base import db
from chatbot.database.sqlite import checkpoints, dialect, group_commit
from chatbot.database.sqlite.dialect import sqlite
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read, write
from chatbot.models import Lease
from tests.conftest import MakeApp


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Only SQLite has these faults."""
    (tmp_path / "chatbot.db").write_bytes(sqlite_template.read_bytes())
    return "sqlite:///chatbot.db"


def add(name: str) -> None:
    with write("test") as connection:
        connection.execute(sa.insert(Lease).values(name=name, token=0))


def patiently_add(name: str) -> None:
    """Add it as a client does that comes again: no writer is refused before five seconds."""
    while True:
        started = time.monotonic()
        try:
            return add(name)
        except errors.DatabaseBusy:  # the machine's disk may stand still
            assert time.monotonic() - started >= 5


@contextmanager
def hold_write_lock(path: Path) -> Iterator[sqlite.Connection]:
    """Hold the write lock from another connection for the time of a block, or until it commits."""
    connection = sqlite.connect(str(path), isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.commit()
        connection.close()


def test_every_connection_is_set_up(context: Flask) -> None:
    with db.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 0}


def test_driver_is_a_sound_sqlite(context: Flask) -> None:
    assert dialect.sqlite_is_safe()
    assert db.engine.dialect.driver == "pysqlite3"


def test_writer_waits_for_another_process(context: Flask, tmp_path: Path) -> None:
    started = time.monotonic()
    with hold_write_lock(tmp_path / "chatbot.db") as other:
        threading.Timer(0.5, other.commit).start()
        add("patient")
    assert time.monotonic() - started > 0.3


def test_writer_gives_up_in_the_end(context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "LOCK_TIMEOUT_SECONDS", 0.2)
    with hold_write_lock(tmp_path / "chatbot.db"):
        with pytest.raises(errors.DatabaseBusy):
            add("impatient")
        with read() as connection:  # readers go on
            assert connection.scalar(sa.select(sa.func.count()).select_from(Lease)) == 0
    add("later")


def test_writers_of_one_process_queue_without_connections(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "LOCK_TIMEOUT_SECONDS", 0.1)
    semaphore = get_database_state().group_commit.semaphore
    assert semaphore.acquire(1)
    with pytest.raises(errors.DatabaseBusy):
        add("queued")
    assert db.engine.pool.checkedout() == 0
    semaphore.release()
    add("next")


def test_32_writers_lose_nothing(context: Flask) -> None:
    def work(number: int) -> None:
        with context.app_context():
            for step in range(5):
                patiently_add(f"{number}-{step}")

    threads = [threading.Thread(target=work, args=[number]) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Lease)) == 160


def test_error_inside_undoes_everything(context: Flask) -> None:
    with pytest.raises(ZeroDivisionError), write("test") as connection:
        connection.execute(sa.insert(Lease).values(name="half", token=0))
        raise ZeroDivisionError
    with read() as connection:
        assert connection.scalar(sa.select(Lease.name).where(Lease.name == "half")) is None


def test_full_disk_is_storage_full_and_heals_by_itself(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        with db.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0

        @sa.event.listens_for(db.engine, "connect")
        def shrink(connection, _record):
            connection.execute(f"PRAGMA max_page_count={pages + 2}")

        db.engine.dispose()
        with pytest.raises(errors.StorageFull):
            for number in range(100):
                add(f"{number}" + "x" * 3000)
        with read() as connection:
            assert connection.scalars(sa.select(Lease.name)).all() is not None
        sa.event.remove(db.engine, "connect", shrink)
        db.engine.dispose()
        add("there is room again")


def test_full_disk_is_a_503_at_the_door_and_reads_go_on(make_app: MakeApp) -> None:
    from tests.conftest import join

    app = make_app()
    person = join(app.test_client(), "ada")
    person.says("before")
    with app.app_context():
        engine = db.engine
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0

    @sa.event.listens_for(engine, "connect")
    def shrink(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine.dispose()
    response = person.says("x" * 30_000)
    assert (response.status_code, response.get_json()["code"]) == (503, "storage_full")
    assert response.headers["Retry-After"]
    assert len(person.history()) == 1
    sa.event.remove(engine, "connect", shrink)
    engine.dispose()
    assert person.says("after").status_code == 200


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sa.exc.TimeoutError(), errors.DatabaseBusy),
        (sa.exc.OperationalError("x", None, Exception("database is locked")), errors.DatabaseBusy),
        (sa.exc.OperationalError("x", None, Exception("attempt to write a readonly database")), errors.StorageFull),
        (sa.exc.OperationalError("x", None, Exception("server closed the connection")), errors.DatabaseUnavailable),
        (sa.exc.InternalError("x", None, Exception("gone"), connection_invalidated=True), errors.DatabaseUnavailable),
        (sa.exc.InternalError("x", None, Exception("odd")), sa.exc.InternalError),
        (sa.exc.InternalError("x", None, Exception("cannot INSERT in a read-only transaction")), errors.StorageFull),
    ],
)
def test_what_the_database_says_comes_in_our_words(context: Flask, error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected), read():
        raise error


def test_unready_without_database(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("x", None, Exception("connection refused"))

    monkeypatch.setattr("sqlalchemy.Connection.execute", gone)
    response = context.test_client().get("/readyz")
    assert (response.status_code, response.get_json()["status"]) == (503, "unavailable")
    assert response.get_json()["checks"]["database"] == "The database cannot be reached."
    assert context.test_client().get("/healthz").status_code == 200


def synchronous(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def test_only_what_need_not_last_is_not_waited_for(context: Flask) -> None:
    """Acknowledged work is on the disk, whichever transaction had the connection before (2 is FULL, 1 is NORMAL)."""
    for durable, expected in ((True, 2), (False, 1), (True, 2), (False, 1)):
        with write("test", durable=durable) as connection:
            assert synchronous(connection) == expected
        with write("test") as connection:
            assert synchronous(connection) == 2


def test_checkpoints_are_made_apart_and_the_log_begins_anew(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MIN_LOG_BYTES", 100_000)
    monkeypatch.setattr(checkpoints, "MAX_LOG_PAGES", 50)
    checkpointer = get_database_state().checkpointer
    checkpointer.begin()
    log = tmp_path / "chatbot.db-wal"
    before = (tmp_path / "chatbot.db").stat().st_size
    for number in range(300):
        add(f"{number}" + "x" * 5_000)
    grown = log.stat().st_size
    assert grown > 300 * 5_000
    assert (tmp_path / "chatbot.db").stat().st_size == before
    checkpointer.checkpoint()
    assert (tmp_path / "chatbot.db").stat().st_size > before + 300 * 5_000
    add("next")
    assert log.stat().st_size == grown  # it is written from its beginning again
    with read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Lease)) == 301
