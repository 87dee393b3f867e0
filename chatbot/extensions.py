"""Unbound extension objects and the database's connect hook, nothing else."""

import math
import select
import time
from types import ModuleType
from typing import Any

import orjson
import sqlalchemy as sa
from apscheduler.schedulers.gevent import GeventScheduler
from flask import Flask, Request
from flask.json.provider import JSONProvider
from flask.sessions import SessionInterface
from flask_apscheduler import APScheduler
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.orm import DeclarativeBase

from chatbot.database.pool import FairPool
from chatbot.lazy_api import LazyApi
from chatbot.web.limit_storage import LeastRecentlyUsedStorage

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # no wheel for this platform
    import sqlite3 as sqlite

SQLiteError: type[Exception] = sqlite.DatabaseError  # what the driver raises where SQLAlchemy does not ask it
SAFE_SQLITE = (3, 51, 3)  # before it, two processes that write at once can corrupt a WAL database
LOCK_PATIENCE = 5.0  # seconds in which another process may hold SQLite's lock
PING_AFTER = 1.0  # seconds that a connection was idle
PING_PATIENCE = 2.0  # seconds that PostgreSQL may take to say that it is there
LOCK_PAUSE = 0.001  # seconds between two tries; a sleep, so that other greenlets go on


class Model(DeclarativeBase):
    """What every table descends from; constraint names are fixed so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class BoundedLimiter(Limiter):
    """Flask-Limiter whose memory is bounded, also while Redis is away."""

    def init_app(self, app: Flask) -> None:
        """Set an application up."""
        super().init_app(app)
        self._fallback_limiter = MovingWindowRateLimiter(LeastRecentlyUsedStorage())


db = SQLAlchemy(model_class=Model, disable_autonaming=True, engine_options={"poolclass": FairPool})
migrate = Migrate()
jwt = JWTManager()
limiter = BoundedLimiter(key_func=get_remote_address)
cors = CORS()
api = LazyApi()
api.DEFAULT_ERROR_RESPONSE_NAME = None  # each door names its problems itself
scheduler = APScheduler(GeventScheduler())


class OrjsonProvider(JSONProvider):
    """Flask's JSON, by orjson: what schemas dump has no other types than JSON has."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return JSON text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Return what JSON text says."""
        return orjson.loads(s)


class NoSessions(SessionInterface):
    """Flask's cookie sessions, which nobody here uses: none is read and none is written."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Open none."""


class BundledSQLite(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect of `sqlite+pysqlite3://`: the driver that bundles a sound SQLite, where there is one."""

    driver = "pysqlite3"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the DB-API module."""
        module: ModuleType = sqlite
        return module


registry.register("sqlite.pysqlite3", __name__, BundledSQLite.__name__)


def sqlite_is_safe() -> bool:
    """Tell whether several processes may write one SQLite file."""
    return tuple(sqlite.sqlite_version_info) >= SAFE_SQLITE


def patiently(cursor: Any, statement: str) -> None:
    """Execute a statement that may find the lock taken; sleeps cooperatively for up to LOCK_PATIENCE seconds.

    SQLite's own waiting would stop every greenlet of the process.
    """
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
        time.sleep(LOCK_PAUSE)


_checkpoint_after = 1_000  # pages in the write-ahead log, SQLite's own default


def sqlite_checkpoints_apart() -> None:
    """Let connections that are made from now on leave checkpoints to somebody else, unless nobody does them."""
    global _checkpoint_after
    _checkpoint_after = 60_000


@sa.event.listens_for(sa.Engine, "connect")
def _on_connect(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite.Connection):
        return
    connection.isolation_level = None  # transactions begin where _on_begin says
    cursor = connection.cursor()
    log = f"wal_autocheckpoint={_checkpoint_after}"
    for pragma in ("busy_timeout=0", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", log):
        patiently(cursor, f"PRAGMA {pragma}")
    cursor.close()


@sa.event.listens_for(sa.pool.Pool, "checkin")
def _on_checkin(connection: Any, record: Any) -> None:
    if connection is not None and not isinstance(connection, sqlite.Connection):
        record.info["idle_since"] = time.monotonic()


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
    """Ask a connection whether it is still there, unless it was used just now: that was a tenth of a chat request."""
    if time.monotonic() - record.info.get("idle_since", math.inf) < PING_AFTER:
        return
    try:
        connection.execute("SELECT 1") if isinstance(connection, sqlite.Connection) else _ask(connection.pgconn)
    except Exception as error:  # the others were made before it, and are as old
        raise sa.exc.InvalidatePoolError from error


def _ask(server: Any) -> None:
    """Ask PostgreSQL for a sign of life, through libpq; raises TimeoutError: a host that is gone never says so."""
    server.send_query(b"SELECT 1")
    server.flush()
    answer = select.poll()
    answer.register(server.socket, select.POLLIN)
    if not answer.poll(PING_PATIENCE * 1000):
        raise TimeoutError
    while server.get_result() is not None:
        pass


@sa.event.listens_for(sa.Engine, "begin")
def _on_begin(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite" or connection.get_execution_options().get("migrates"):
        return
    cursor = connection.connection.cursor()
    if connection.get_execution_options().get("writes"):
        lasting = connection.get_execution_options().get("lasting", True)
        if connection.info.get("lasting", True) is not lasting:  # as whoever had the connection before wanted it
            cursor.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
            connection.info["lasting"] = lasting
        patiently(cursor, "BEGIN IMMEDIATE")
    else:
        cursor.execute("BEGIN")
        # The snapshot is taken here, where a lock is waited for, not in the first query.
        patiently(cursor, "SELECT 1 FROM sqlite_schema LIMIT 1")
    cursor.close()
