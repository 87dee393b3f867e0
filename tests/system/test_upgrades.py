"""A later version's migration on data that is there: killed in the middle, up and down, beside workers that go on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Server, running
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.both_databases

HEAD = max(path.name[:4] for path in (ROOT / "migrations" / "versions").glob("0*.py"))
FUTURE = f'''"""What a later version may bring: a column in a table that is copied for it on SQLite, and a table."""

import os, pathlib, time

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0099", "{HEAD}"


def changing():
    return op.batch_alter_table("chat_messages", recreate="always" if op.get_bind().dialect.name == "sqlite" else "never")


def upgrade():
    with changing() as batch:
        batch.add_column(sa.Column("mood", sa.String(20), nullable=True))
        batch.create_index("ix_chat_messages_mood", ["mood"])
    op.create_table("moods", sa.Column("name", sa.String(20), primary_key=True))
    pathlib.Path(os.environ["HALFWAY"]).touch()
    time.sleep(float(os.environ["PAUSE"]))


def downgrade():
    op.drop_table("moods")
    with changing() as batch:
        batch.drop_index("ix_chat_messages_mood")
        batch.drop_column("mood")
'''
SETTINGS = {"LLM": "memory", "EMBEDDER": "memory"}


class Upgrade:
    """`flask db` of the later version, on a server's database."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._migrations = folder / "migrations"
        self._halfway = folder / "halfway"
        shutil.copytree(ROOT / "migrations", self._migrations)
        (self._migrations / "versions" / "0099_future.py").write_text(FUTURE)
        self._environment = {**server.environment, "HALFWAY": str(self._halfway)}

    def begin(self, *command: str, pause: float = 0.0) -> "subprocess.Popen[bytes]":
        """Start a command that pauses before the end of its migration, and wait until it has come so far."""
        self._halfway.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "db", *command, "-d", str(self._migrations)],
            cwd=ROOT,
            env={**self._environment, "PAUSE": str(pause)},
            stderr=subprocess.PIPE,
        )
        wait_for(lambda: self._halfway.exists() or process.poll() is not None, 60)
        return process

    def run(self, *command: str) -> str:
        """Run a command to its end; returns its standard error."""
        process = self.begin(*command)
        written = process.communicate()[1].decode()
        assert process.returncode == 0, written
        return written


def counted(server: Server, folder: Path) -> str:
    """Return how many rows there are, by saving them."""
    path = folder / "counted.backup"
    path.unlink(missing_ok=True)
    return server.flask("backup", str(path)).stdout


def test_migration_killed_in_the_middle_has_not_happened(database_url: str, tmp_path: Path) -> None:
    server = Server(tmp_path, DATABASE_URL=database_url, **SETTINGS)
    server.flask("seed", "bench", "--users", "10", "--turns", "4000", "--passages", "100")
    before = counted(server, tmp_path)
    later = Upgrade(server, tmp_path)
    killed = later.begin("upgrade", pause=60)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert server.flask("db", "current").stdout.startswith(HEAD)
    assert counted(server, tmp_path) == before
    later.run("upgrade")
    refused = server.flask("backup", str(tmp_path / "never"), check=False)
    assert (refused.returncode, "run a newer version" in refused.stderr) == (1, True)
    later.run("downgrade", HEAD)
    assert counted(server, tmp_path) == before
    with running(tmp_path, DATABASE_URL=database_url, **SETTINGS) as served:
        body = {"email": "bench-2@example.com", "password": "a passphrase for benchmarks"}
        token = served.call("POST", "/api/users/login/", body)[2]["access_token"]
        assert len(served.call("GET", "/api/chat-history/?limit=100", token=token)[2]["items"]) == 100
    assert server.flask("knowledge", "verify").stdout == "Found 0 faults.\n"
    later.run("upgrade")


def test_workers_go_on_while_a_later_version_upgrades(database_url: str, tmp_path: Path) -> None:
    statuses = Counter[int]()
    stop = threading.Event()

    def speak(server: Server, name: str) -> None:
        token = server.sign_in(name)
        while not stop.is_set():
            statuses[server.call("POST", "/api/chat/", {"message": "Hello"}, token)[0]] += 1
            statuses[server.call("GET", "/api/chat-history/", token=token)[0]] += 1

    with running(tmp_path, DATABASE_URL=database_url, **SETTINGS) as server:
        threads = [threading.Thread(target=speak, args=[server, f"user{n}"]) for n in range(4)]
        for thread in threads:
            thread.start()
        process = Upgrade(server, tmp_path).begin("upgrade", pause=1.0)
        assert process.communicate()[1] is not None
        assert process.returncode == 0
        during = statuses.total()
        let_pass(1)
        stop.set()
        for thread in threads:
            thread.join()
        assert statuses.total() > during + 20
        assert set(statuses) == {200}
        assert not [line for line in server.lines() if line["level"] == "error"]
    again = Server(tmp_path, DATABASE_URL=database_url, **SETTINGS)
    again.spawn()
    assert again.process.wait(60) == os.EX_CONFIG
    assert re.search(
        r"The database is at revision 0099, which this code does not know: run a newer version\.", again.log()
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_upgrade_does_not_hold_everybody_up_behind_a_long_reader(database_url: str, tmp_path: Path) -> None:
    """ALTER TABLE would wait for a backup to end, and later statements would wait for the ALTER TABLE."""
    import psycopg

    server = Server(tmp_path, DATABASE_URL=database_url, **SETTINGS)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM chat_messages")
        started = time.monotonic()
        process = Upgrade(server, tmp_path).begin("upgrade")
        written = process.communicate()[1].decode()
        assert (process.returncode, time.monotonic() - started < 30) == (os.EX_TEMPFAIL, True)
        assert "DATABASE_URL: The tables are in use for long" in written
    assert server.flask("db", "current").stdout.startswith(HEAD)
