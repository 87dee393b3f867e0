"""A writer's greenlet may be killed at any wait."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

KILLED = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
import gevent.event
import sqlalchemy as sa
from chatbot import create_app
from chatbot.models import Lease
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read, write

app = create_app()
told = []
writes = gevent.event.Event()
goes_on = gevent.event.Event()
def work(name):
    with app.app_context(), write("test") as connection:
        connection.execute(sa.insert(Lease).values(name=name, token=0))
        if name == "third":
            writes.set()
            goes_on.wait()
        else:
            gevent.sleep(0)
    told.append(name)

with app.app_context():
    names = ("first", "second", "third", "fourth")
    first, second, *rest = [gevent.spawn(work, name) for name in names]
    writes.wait()
    assert get_database_state().group_commit.open_group is not None, "the third writes"
    for _ in range(3):
        first.kill(block=False)  # who is to commit
        second.kill(block=False)  # who waits for that
        gevent.sleep(0.01)
    goes_on.set()
    gevent.joinall([first, *rest])
    with read() as connection:
        print(sorted(told), sorted(connection.scalars(sa.select(Lease.name))), get_database_state().group_commit.semaphore.free_places)
"""


def test_who_is_killed_while_he_commits_leaves_nothing_half(sqlite_template: Path, tmp_path: Path) -> None:
    """The other writers' work is committed all the same."""
    database = tmp_path / "chatbot.db"
    database.write_bytes(sqlite_template.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        env={"APP_ENV": "testing", "DATABASE_URL": f"sqlite:///{database}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == ("['fourth', 'third'] ['first', 'fourth', 'second', 'third'] 1"), done.stderr
