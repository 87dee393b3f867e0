"""Reasons not to start: one clear line each, exit code 78, and nothing is written."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from chatbot import cluster
from chatbot.database import schema_version
from chatbot.errors import CannotServe
from chatbot.services.operations import readiness
from tests.conftest import MakeApp
from tests.support.processes import ROOT, Server, free_port, running
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


def refused(server: Server, seconds: float = 90) -> list[str]:
    """Start a server that must refuse; returns its worst line, without gunicorn's additions."""
    server.spawn()
    assert server.process.wait(seconds) == 78
    return [line["event"] for line in server.lines() if line["level"] == "critical"]


@pytest.mark.parametrize("options", [[], ["-c", "gunicorn.conf.py"]])
def test_gunicorn_without_options_serves_as_it_should(tmp_path: Path, options: list[str]) -> None:
    server = Server(tmp_path, LLM="memory").prepare()
    server.options = options
    server.start()
    try:
        wait_for(lambda: "Chatbot API listens on" in server.log(), 15)
        token = server.sign_in()
        assert server.call("POST", "/api/chat/", {"message": "Hi"}, token)[2]["bot_response"] == "Hi"
    finally:
        assert server.stop() == 0


def test_server_without_jobs_says_so_in_readiness(tmp_path: Path) -> None:
    server = Server(tmp_path, LLM="memory").prepare()
    command = [sys.executable, "-m", "flask", "run", "--port", str(server.port)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=server.environment, **silent) as process:
        try:
            wait_for(lambda: not server.refuses())
            status, _, ready = server.call("GET", "/readyz")
        finally:
            process.kill()
    assert (status, ready["status"], ready["checks"]["jobs"]) == (200, "degraded", readiness.NO_JOBS)


def test_module_that_is_run_names_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    ended = subprocess.run(
        [sys.executable, "wsgi.py"], check=False, cwd=ROOT, env=server.environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr == "This is no server: start it with `make run` or `gunicorn wsgi:app`.\n"


def test_models_that_do_not_answer_are_all_told_from_the_start(tmp_path: Path) -> None:
    places = [f"http://127.0.0.1:{free_port()}/v1" for _ in range(2)]
    settings = {"OPENAI_BASE_URL": places[0], "OPENAI_FALLBACK_MODELS": f"other@{places[1]}"}
    with running(tmp_path, **settings) as server:
        wait_for(lambda: "Chatbot API listens on" in server.log(), 15)
        away = "The model's server cannot be reached."
        for text in (
            f"  model:    gpt-3.5-turbo at {places[0]} - {away}\n",
            f"  fallback: other at {places[1]} - {away}\n",
        ):
            assert text in server.log()
        ready = server.call("GET", "/readyz")
        assert (ready[0], ready[2]["status"]) == (200, "degraded")
        assert ready[2]["checks"]["model"] == f"gpt-3.5-turbo: {away}; other: {away}"
        logged = [line for line in server.lines() if line["event"] == "the model's server fails"]
        assert [(line["model"], line["detail"]) for line in logged] == [("gpt-3.5-turbo", away), ("other", away)]


def test_database_that_cannot_be_reached(tmp_path: Path) -> None:
    (line,) = refused(Server(tmp_path, LLM="memory", DATABASE_URL=NOWHERE))
    assert line.startswith("DATABASE_URL: The database cannot be reached: ")
    assert "\n" not in line


def test_upgrade_of_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    ended = Server(tmp_path, DATABASE_URL=NOWHERE).flask("db", "upgrade", check=False)
    assert ended.returncode == 78
    assert ended.stderr.splitlines()[-1].startswith("DATABASE_URL: The database cannot be reached: ")
    assert "Traceback" not in ended.stderr


def test_database_of_another_application(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "chatbot.db")) as database:
        database.execute("CREATE TABLE users (name TEXT)")
        database.commit()
    server = Server(tmp_path, LLM="memory")
    (line,) = refused(server)
    assert "run `flask db upgrade`" in line
    ended = server.flask("db", "upgrade", check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (78, False)
    assert ended.stderr.splitlines()[-1] == "DATABASE_URL: This database has tables of another application: users."
    with closing(sqlite3.connect(tmp_path / "chatbot.db")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]


def test_redis_that_cannot_be_reached(tmp_path: Path) -> None:
    server = Server(tmp_path, LLM="memory", REDIS_URL=f"redis://127.0.0.1:{free_port()}/0").migrate()
    (line,) = refused(server)
    assert line.startswith("REDIS_URL: Redis cannot be used: ")


def test_redis_that_is_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port := free_port())]
    with subprocess.Popen(command, cwd=ROOT / "docs", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as other:
        try:
            server = Server(tmp_path, LLM="memory", REDIS_URL=f"redis://127.0.0.1:{port}/0").migrate()
            assert refused(server)[0].startswith("REDIS_URL: Redis cannot be used: ")
        finally:
            other.kill()


def test_host_with_other_secrets(tmp_path: Path, own_redis: RedisServer) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:  # each makes its own secrets
        folder.mkdir()
    one, other = (Server(folder, LLM="memory", REDIS_URL=own_redis.url).migrate() for folder in folders)
    one.start()
    try:
        (line,) = refused(other)
        assert line.startswith("SECRET_KEY, JWT_SECRET_KEY: Other processes on this Redis have other secrets.")
        marks = own_redis.client().get(cluster.MARK)
        one.stop()
        one.start()  # those that are in use may come again
        assert own_redis.client().get(cluster.MARK) == marks
    finally:
        one.stop()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_servers_that_are_too_old(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    monkeypatch.setattr(schema_version, "MIN_POSTGRESQL_VERSION", (99,))
    monkeypatch.setattr(cluster, "MIN_REDIS_VERSION", (99, 0))
    with app.app_context():
        with pytest.raises(CannotServe, match=r"DATABASE_URL: PostgreSQL [0-9.]+ is too old; this needs 99."):
            schema_version.require_current()
        fleet = cluster.Cluster(app.config["REDIS_URL"], ("", ""))
        with pytest.raises(CannotServe, match=r"REDIS_URL: Redis [0-9.]+ is too old; this needs 99.0."):
            fleet.require()


def test_two_workers_that_cannot_serve_in_the_same_moment(tmp_path: Path) -> None:
    redis = f"redis://127.0.0.1:{free_port()}/0"
    server = Server(tmp_path, LLM="memory", DATABASE_URL=NOWHERE, REDIS_URL=redis, WEB_CONCURRENCY="2")
    server.spawn()
    workers = wait_for(lambda: workers if len(workers := server.workers()) == 2 else [])
    server.process.send_signal(signal.SIGSTOP)  # it hears of both at once
    wait_for(lambda: all(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in workers))
    server.process.send_signal(signal.SIGCONT)
    assert server.process.wait(30) == 78
    assert "Traceback" not in server.log()


def test_adapter_whose_library_is_missing(tmp_path: Path) -> None:
    server = Server(tmp_path, LLM="memory", EMBEDDER="sentence-transformers", VECTOR_STORE="memory")
    server.spawn()
    assert server.process.wait(30) == 78
    install = "pip install sentence-transformers"
    assert server.log() == f"EMBEDDER: The adapter 'sentence-transformers' needs a library: {install}\n"
