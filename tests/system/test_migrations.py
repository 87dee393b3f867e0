"""Migrations on both databases: with data, up and down, at once, and against the models."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from chatbot.database.base import db
from chatbot.database.types import UtcDateTime
from chatbot.models import ChatMessage
from tests.conftest import Person
from tests.support.databases import named
from tests.support.processes import ROOT, Server

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database without tables."""
    if request.param == "sqlite":
        return "sqlite:///empty.db"
    url: str = request.getfixturevalue("postgres")
    name = f"e{abs(hash(tmp_path)):x}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return named(url, name)


def test_migrated_schema_is_the_models(context: Flask) -> None:
    with db.engine.connect() as connection:
        options = {"compare_type": lambda *found: None if isinstance(found[4], UtcDateTime) else False}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), db.metadata)
    assert difference == []


def test_no_extension_is_needed(empty_url: str, tmp_path: Path) -> None:
    Server(tmp_path, DATABASE_URL=empty_url).migrate()
    if empty_url.startswith("postgresql"):
        with psycopg.connect(empty_url) as connection:
            assert connection.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]


def test_up_again_keeps_the_data(app: Flask, ada: Person, database_url: str, tmp_path: Path) -> None:
    ada.says("Keep me")
    Server(tmp_path, DATABASE_URL=database_url).migrate()
    assert [turn["user_message"] for turn in ada.history()] == ["Keep me"]


def test_down_and_up_give_the_same_schema(empty_url: str, tmp_path: Path) -> None:
    server = Server(tmp_path, DATABASE_URL=empty_url).migrate()
    server.flask("db", "downgrade", "base")
    server.flask("db", "upgrade")
    assert server.flask("db", "current").stdout.startswith("0020 (head)")


def test_two_instances_at_once_wait_for_one_another(empty_url: str, tmp_path: Path) -> None:
    server = Server(tmp_path, DATABASE_URL=empty_url)
    server.environment["PYTHONWARNINGS"] = "ignore"
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda _: server.flask("db", "upgrade", check=False), range(3)))
    assert [(process.returncode, process.stderr[-300:]) for process in ended] == [(0, "")] * 3


def test_foreign_keys_are_checked_on_the_way_out(app: Flask, ada: Person, database_url: str, tmp_path: Path) -> None:
    """A migration that left orphans would not be committed; without them it is."""
    if database_url.startswith("postgresql"):
        return  # checks by itself, at each statement
    ada.says("Mine")
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("DELETE FROM users")
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    server = Server(tmp_path, DATABASE_URL=database_url)
    refused = server.flask("db", "upgrade", check=False)
    assert refused.returncode != 0
    assert "rows without their parents" in refused.stderr


def test_ids_are_kept_as_uuids(app: Flask, ada: Person) -> None:
    turn = ada.says("Hi").get_json()
    with app.app_context(), db.engine.connect() as connection:
        found = connection.scalar(db.select(ChatMessage.id))
    assert found == UUID(turn["id"])
    assert found.version == 7


def test_boot_of_a_command_needs_no_database(tmp_path: Path) -> None:
    server = Server(tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    command = [sys.executable, "-m", "flask", "history", "purge", "--dry-run"]
    ended = subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "Error: The database cannot be reached.\n")


def test_command_before_the_first_migration_says_what_to_do(tmp_path: Path) -> None:
    server = Server(tmp_path)
    command = [sys.executable, "-m", "flask", "users", "seed"]
    ended = subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "Error: The database lacks tables of this version: run `flask db upgrade`.\n"
