"""Real processes for tests: the scripted upstream and the application under gunicorn, on free ports."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from alembic.script import ScriptDirectory
from coverage.config import CoverageConfig

from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
BOOT_SECONDS = 120.0  # seconds; some 4, but a machine that is busy elsewhere took 45
MEASURED = "COVERAGE_PROCESS_CONFIG"  # the variable by which coverage starts in a child


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return a clean environment with our settings: nothing of the caller's shell decides a test."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", MEASURED) if name in os.environ}
    return {**kept, "INSTANCE_PATH": str(folder), "BCRYPT_ROUNDS": "4", "RATELIMIT_ENABLED": "false", **settings}


def with_greenlets(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which coverage tells greenlets apart.

    It asks which one runs at each call, so that code takes half as long again: only a gevent worker needs that.
    """
    if not settings.get(MEASURED):
        return dict(settings)
    config = CoverageConfig.deserialize(settings[MEASURED])
    config.concurrency = ["gevent", "thread"]
    return {**settings, MEASURED: config.serialize()}


Answer = tuple[int, dict[str, str], Any]


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    token: str = "",
    headers: Mapping[str, str] = {},
    seconds: float = 30,
    source: str | None = None,
) -> Answer:
    """Make one request on a connection of its own; returns status, headers in lower case, and the JSON body."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=seconds, source_address=(source, 0) if source else None
    )
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        sent["Content-Type"] = "application/json"
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), {**sent, **headers})
        response = connection.getresponse()
        data = response.read()
        received = {name.lower(): value for name, value in response.getheaders()}
        return (
            response.status,
            received,
            json.loads(data) if data and "json" in received.get("content-type", "") else data,
        )


Event = tuple[int, str, dict[str, Any]]


def events(body: str) -> list[Event]:
    """Parse an event stream into (id, event, data); comments are passed over."""
    found = []
    for block in body.split("\n\n"):
        if block and not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((int(fields["id"].removesuffix("-end")), fields["event"], json.loads(fields["data"])))
    return found


class Upstream:
    """The scripted upstream in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "tests.support.upstream", *options]
        plain = {**os.environ, MEASURED: ""}
        self._process = subprocess.Popen(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def log(self) -> list[dict[str, Any]]:
        """Return the requests that it received."""
        found: list[dict[str, Any]] = call(self.port, "GET", "/_log")[2]
        return found

    def counters(self) -> dict[str, int]:
        """Return its counters."""
        found: dict[str, int] = call(self.port, "GET", "/_counters")[2]
        return found

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Server:
    """The application under gunicorn."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / "server.log"
        self.application = "wsgi:app"
        self.options = ["-c", "chatbot/server.py"]
        self.environment = environment(folder, **{"PORT": str(self.port), **settings})

    def migrate(self) -> "Server":
        """Bring the database to the code's schema."""
        self.flask("db", "upgrade")
        return self

    def prepare(self) -> "Server":
        """Bring the database to the code's schema the short way, where a test is not about that: it saves seconds."""
        url = self.environment.get("DATABASE_URL")
        if url is None:
            (self.folder / "chatbot.db").write_bytes(_migrated())
        elif not _is_current(url):
            self.migrate()
        return self

    def flask(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a `flask` command beside the server."""
        command = [sys.executable, "-m", "flask", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=check)

    def start(self) -> "Server":
        """Start and wait until it is ready."""
        self.spawn()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.is_ready() or self.process.poll() is not None, BOOT_SECONDS, interval=0.05)
            if self.process.poll() is None:
                return self
        raise RuntimeError(self.log())

    def is_ready(self) -> bool:
        """Return whether it answers that it is ready."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return call(self.port, "GET", "/readyz", seconds=5)[0] == 200
        return False

    def spawn(self) -> None:
        """Start without waiting."""
        command = [sys.executable, "-m", "gunicorn", *self.options, self.application]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=with_greenlets(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def workers(self) -> list[int]:
        """Return the pids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = []
        for pid in children:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended since
                if "embedded.py" not in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(int(pid))
        return found

    def log(self) -> str:
        """Return its output so far."""
        return self.log_path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        """End it as an operator would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def kill(self) -> None:
        """Kill arbiter and workers at once, and wait until their port is free."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_for(self.refuses)

    def refuses(self) -> bool:
        """Return whether the port is free: killed workers keep it for some milliseconds more."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError as error:
            return isinstance(error, ConnectionRefusedError)
        return False

    def call(self, method: str, path: str, body: Any = None, token: str = "", **options: Any) -> Answer:
        """Make one request."""
        return call(self.port, method, path, body, token, **options)

    def sign_in(self, name: str = "ada", **options: Any) -> str:
        """Make an account and return its access token."""
        account = {"email": f"{name}@example.org", "password": "a sound passphrase"}
        whole = {**account, "username": name, "password_confirm": account["password"]}
        self.call("POST", "/api/users/signup/", whole, **options)
        token: str = self.call("POST", "/api/users/login/", account, **options)[2]["access_token"]
        return token


@cache
def _migrated() -> bytes:
    """Return a SQLite file that has been migrated."""
    with tempfile.TemporaryDirectory() as name:
        Server(Path(name), DATABASE_URL="sqlite:///template.db").migrate()
        return (Path(name) / "template.db").read_bytes()


def _is_current(url: str) -> bool:
    """Return whether a PostgreSQL database is at the newest revision, by being a copy of a template for instance."""
    if not url.startswith("postgresql"):
        return False
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return False
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return found == [(ScriptDirectory(str(ROOT / "migrations")).get_current_head(),)]


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """Migrate and run a server for the time of a block."""
    server = Server(folder, **settings).prepare().start()
    try:
        yield server
    finally:
        server.stop()
