"""PostgreSQL that falls silent, and users' words in its error messages."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import ConnectionPoolEntry

from chatbot.database.base import db
from chatbot.database.ping import MIN_IDLE_SECONDS
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read, write
from chatbot.errors import DatabaseBusy
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import turns
from chatbot.services.chat.records import OpenResult
from chatbot.services.idempotency import Key
from tests.conftest import Person
from tests.support.databases import count_waiting
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


@pytest.fixture
def database_url(postgres_url: str, tmp_path: Path) -> str:
    return postgres_url


@pytest.fixture
def all_are_idle(context: Flask) -> None:
    """Let each connection look idle when it is given back: a connection that was used just now is not asked."""

    @sa.event.listens_for(db.engine, "checkin")
    def age(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] -= MIN_IDLE_SECONDS


@pytest.mark.usefixtures("all_are_idle")
def test_connections_that_fell_silent_are_left_for_new_ones(context: Flask, ada: Person) -> None:
    with db.engine.connect() as one, db.engine.connect() as other:
        silent = [connection.scalar(sa.text("SELECT pg_backend_pid()")) for connection in (one, other)]
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert ada.says("hi").status_code == 200
        assert time.monotonic() - started < 5
        with read() as connection:
            assert connection.scalar(sa.text("SELECT pg_backend_pid()")) not in silent
    finally:
        for pid in silent:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.usefixtures("all_are_idle")
def test_connections_that_the_server_closed_are_left_for_new_ones(context: Flask, ada: Person, postgres: str) -> None:
    with db.engine.connect() as one, db.engine.connect() as other:
        closed = [connection.scalar(sa.text("SELECT pg_backend_pid()")) for connection in (one, other)]
    with psycopg.connect(postgres, autocommit=True) as administrator:
        for pid in closed:
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with db.engine.connect() as connection:  # no transaction that would be tried again
        assert connection.scalar(sa.text("SELECT pg_backend_pid()")) not in closed


@pytest.mark.parametrize("words", ["disk is full", "read-only", "file is not a database", "locked"])
def test_words_of_a_user_in_an_error_are_not_the_databases(context: Flask, ada: Person, words: str) -> None:
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    key = Key("POST /api/chat/", words, b"x" * 32, frozenset())
    results: list[OpenResult] = []

    def send() -> None:
        with context.app_context():
            results.append(turns.open_turn(caller, "hi", key=key))

    with write("hold") as connection:  # nobody's look at the key finds it; both write it
        connection.execute(sa.text("LOCK TABLE idempotency_keys IN SHARE MODE"))
        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: count_waiting() == 2)
    for thread in threads:
        thread.join()
    (turn,) = [result.opened for result in results if result.opened is not None]
    assert [result.turn_id for result in results if result.opened is None] == [turn.id]
    assert not get_database_state().full.is_set()


def test_writer_waits_for_a_lock_as_long_as_on_sqlite(context: Flask, ada: Person) -> None:
    told = Counter[str]()
    statement = sa.text("UPDATE users SET username = username")

    def wait() -> None:
        with context.app_context():
            try:
                with write("test", contention_key=UUID(ada.id)) as connection:
                    connection.execute(statement)
            except DatabaseBusy:
                told["busy"] += 1

    with write("hold") as connection:
        connection.execute(statement)
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(8)
        assert not thread.is_alive()
    assert told == {"busy": 1}
