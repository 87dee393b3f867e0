"""PostgreSQL databases that are used again by the next test: emptied, unless a test has changed more than rows."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.models import TurnLogPiece
from tests.support.processes import Server

_numbers = itertools.count()
# All who share a Redis have the same; two servers of a test with secrets of their own refuse each other.
SECRETS = {
    "SECRET_KEY": "one-for-all-on-a-redis-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJK",
    "JWT_SECRET_KEY": "another-for-all-on-it-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL",  # HS512 asks for 64 bytes
}
STORES = ("pgvector_items", "pgvector_collections")
SCHEMA = """
    SELECT md5(concat(
        (SELECT string_agg(concat(table_name, column_name, data_type, is_nullable), ',' ORDER BY table_name, column_name)
            FROM information_schema.columns WHERE table_schema = 'public'),
        (SELECT string_agg(indexdef, ',' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'),
        (SELECT string_agg(version_num, ',') FROM alembic_version),
        (SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase
            WHERE datname = current_database())
    ))
"""


def count_waiting() -> int:
    """Count the transactions of this database that wait for a lock."""
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with read() as connection:
        return int(connection.scalar(waits) or 0)


def named(url: str, name: str) -> str:
    """Return the address of another database of the same server."""
    return url.replace("/postgres?", f"/{name}?")


@contextmanager
def another(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give one more migrated PostgreSQL database, for the time of a block."""
    postgres = request.getfixturevalue("postgres")
    template = request.getfixturevalue("postgres_template")
    name = f"another{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield named(postgres, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def stack_of_a_module(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the settings of one of the two ways to run (`request.param`), for a server that many tests share."""
    if request.param == "sqlite":
        yield {}
        return
    redis = request.getfixturevalue("redis_server")
    redis.flush()  # of the mark of a server with other secrets
    with another(request) as url:
        yield {"DATABASE_URL": url, "REDIS_URL": redis.url, "VECTOR_STORE": "pgvector", **SECRETS}


def saved_text(server: Server, turn_id: str) -> str:
    """Return the text of a running turn that a crash of its process would not lose."""
    url = sa.make_url(server.environment.get("DATABASE_URL", "sqlite:///chatbot.db"))
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    else:
        url = url.set(database=str(server.folder / str(url.database)))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    pieces = sa.select(TurnLogPiece.text).where(TurnLogPiece.turn_id == UUID(turn_id)).order_by(TurnLogPiece.start)
    with engine.connect() as connection:
        return "".join(connection.scalars(pieces))


def cleaned(maintenance: str, url: str, template: str) -> bool:
    """Empty a database for the next test; returns whether it is as its template now."""
    with psycopg.connect(maintenance, autocommit=True) as connection:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {', '.join(STORES)}")
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = [row[0] for row in rows if row[0] not in {"alembic_version", "sync_state"}]
            deletes = "".join(f"DELETE FROM {table};" for table in tables)
            connection.execute(f"SET session_replication_role = replica; {deletes}")  # without foreign keys
            connection.execute("UPDATE sync_state SET epoch = gen_random_uuid(), purged_before = NULL")
            sequences = connection.execute(
                "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'"
            ).fetchall()
            connection.execute("".join(f"ALTER SEQUENCE {row[0]} RESTART;" for row in sequences))
            return schema(connection) == template_schema(template)
    except psycopg.Error:  # a test made it read-only, or worse
        return False


def schema(connection: psycopg.Connection) -> str:
    found = connection.execute(SCHEMA).fetchone()
    assert found is not None
    return str(found[0])


@cache
def template_schema(url: str) -> str:
    with psycopg.connect(url) as connection:
        return schema(connection)
