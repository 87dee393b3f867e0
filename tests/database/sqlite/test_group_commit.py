"""SQLite's writers share a commit: it is durable before any of them returns, and no writer sees another's error."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event

from chatbot import errors
from chatbot.database.base import db
from chatbot.database.sqlite import group_commit
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read, write
from chatbot.models import Lease
from tests.conftest import MakeApp
from tests.support.waiting import let_pass, wait_for

Block = Callable[[sa.Connection], None]


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Only SQLite's writers queue."""
    (tmp_path / "chatbot.db").write_bytes(sqlite_template.read_bytes())
    return "sqlite:///chatbot.db"


@pytest.fixture
def commits(context: Flask) -> Iterator[list[int]]:
    """Count the commits from now on."""
    counted: list[int] = []

    def count(_: sa.Connection) -> None:
        counted.append(1)

    event.listen(db.engine, "commit", count)
    yield counted
    event.remove(db.engine, "commit", count)


def insert(name: str) -> Block:
    return lambda connection: connection.execute(sa.insert(Lease).values(name=name, token=0)) and None


class QueuedWriters:
    """Writers that queue behind a running one, in order, and their results."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.told = dict[int, str]()
        self.raised = dict[int, Exception]()
        self.threads: list[threading.Thread] = []
        with app.app_context():
            self.commits = get_database_state().group_commit
        assert self.commits.semaphore.acquire(5)

    def comes(self, block: Block, **options: bool) -> None:
        number = len(self.threads)

        def work() -> None:
            try:
                with self.app.app_context(), write("test", **options) as connection:
                    block(connection)
                self.told[number] = "written"
            except Exception as error:
                self.told[number] = type(error).__name__
                self.raised[number] = error

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()
        wait_for(lambda: self.commits.semaphore.waiting_count > number)

    def goes(self) -> list[str]:
        self.commits.semaphore.release()
        for thread in self.threads:
            thread.join(30)
        assert self.commits.open_group is None
        return [self.told[number] for number in range(len(self.threads))]


def written() -> set[str]:
    with read() as connection:
        return set(connection.scalars(sa.select(Lease.name)))


def test_those_who_wait_are_committed_together(context: Flask, commits: list[int]) -> None:
    crowd = QueuedWriters(context)
    for number in range(20):
        crowd.comes(insert(str(number)))
    assert crowd.goes() == ["written"] * 20
    assert written() == {str(number) for number in range(20)}
    assert len(commits) == 1


def test_who_writes_much_or_without_waiting_for_the_disk_commits_alone(context: Flask, commits: list[int]) -> None:
    crowd = QueuedWriters(context)
    for number, options in enumerate([{}, {}, {"is_long": True}, {}, {}, {"durable": False}, {}, {}]):
        crowd.comes(insert(str(number)), **options)
    assert crowd.goes() == ["written"] * 8
    assert len(commits) == 5


def test_nobody_is_told_before_all_is_on_the_disk(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = threading.Event()
    goes_on = threading.Event()
    commit = group_commit.Group.write

    def slowly(group: group_commit.Group) -> None:
        commits.set()
        assert goes_on.wait(30)
        commit(group)

    monkeypatch.setattr(group_commit.Group, "write", slowly)
    crowd = QueuedWriters(context)
    for number in range(3):
        crowd.comes(insert(str(number)))
    crowd.commits.semaphore.release()
    assert commits.wait(30)
    let_pass(0.05)  # in which a writer that is told early would come
    assert crowd.told == {}
    assert written() == set()
    goes_on.set()
    for thread in crowd.threads:
        thread.join(30)
    assert written() == {"0", "1", "2"}


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_an_error_undoes_its_own_work_alone(context: Flask, wrong: int) -> None:
    def half(connection: sa.Connection) -> None:
        insert("half")(connection)
        raise errors.NotFound("It is not there.")

    crowd = QueuedWriters(context)
    for number in range(4):
        crowd.comes(half if number == wrong else insert(str(number)))
    assert crowd.goes() == ["NotFound" if number == wrong else "written" for number in range(4)]
    assert written() == {"0", "1", "2", "3"} - {str(wrong)}


def test_a_row_that_is_there_already_is_one_writers_error(context: Flask) -> None:
    crowd = QueuedWriters(context)
    for name in ("a", "a", "b"):
        crowd.comes(insert(name))
    assert crowd.goes() == ["written", "IntegrityError", "written"]
    assert written() == {"a", "b"}


def test_what_refuses_one_is_on_the_disk_when_he_is_told(context: Flask) -> None:
    """Else two simultaneous sign-ups with one address would be a 500: the row is not to be found yet."""
    found = list[set[str]]()
    crowd = QueuedWriters(context)
    crowd.comes(insert("first"))
    crowd.comes(insert("a"))

    def signs_up() -> None:
        with context.app_context():
            try:
                with write("test") as connection:
                    insert("a")(connection)
            except sa.exc.IntegrityError:
                found.append(written())

    crowd.threads.append(threading.Thread(target=signs_up))
    crowd.threads[-1].start()
    wait_for(lambda: crowd.commits.semaphore.waiting_count >= 3)
    crowd.comes(insert("last"))
    crowd.told[2] = "refused"
    assert crowd.goes() == ["written", "written", "refused", "written"]
    assert found == [{"first", "a", "last"}]


def undo(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ROLLBACK")


@pytest.mark.parametrize("how", [undo, sa.Connection.invalidate])
@pytest.mark.parametrize("place", [0, 1])
def test_nothing_is_written_where_it_was_undone_and_a_block_did_not_see(context: Flask, place: int, how: Block) -> None:
    def unseen(connection: sa.Connection) -> None:
        insert("a")(connection)
        how(connection)

    crowd = QueuedWriters(context)
    for number in range(2):
        crowd.comes(unseen if number == place else insert("b"))
    assert crowd.goes() == ["DatabaseUnavailable"] * 2
    assert written() == set()


def test_who_writes_much_keeps_nobody_waiting_who_came_before_him(context: Flask) -> None:
    seen = list[str]()
    crowd = QueuedWriters(context)

    def much(connection: sa.Connection) -> None:
        wait_for(lambda: len(crowd.told) >= 2)  # those before are told while this one writes
        seen.append("told")

    crowd.comes(insert("a"))
    crowd.comes(insert("b"))
    crowd.comes(much, is_long=True)
    crowd.comes(insert("c"))
    assert crowd.goes() == ["written"] * 4
    assert seen == ["told"]


def test_what_sqlite_undid_is_told_to_nobody_as_written(context: Flask) -> None:
    """A full or broken disk may undo the whole transaction, and with it the earlier writes of others."""

    def undone(connection: sa.Connection) -> None:
        undo(connection)
        raise errors.NotFound("A block's own error.")

    crowd = QueuedWriters(context)
    for block in (insert("a"), undone, insert("b")):
        crowd.comes(block)
    assert crowd.goes() == ["DatabaseUnavailable", "DatabaseUnavailable", "written"]
    assert written() == {"b"}


def badly(connection: sa.Connection) -> None:
    """Insert a row without its parent, which SQLite finds when it commits."""
    connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    connection.exec_driver_sql("INSERT INTO turn_logs (turn_id, start, text) VALUES (x'00', 0, '')")


def test_a_commit_that_fails_is_told_to_all(context: Flask) -> None:
    crowd = QueuedWriters(context)
    for block in (insert("a"), badly, insert("b")):
        crowd.comes(block)
    assert crowd.goes() == ["DatabaseUnavailable"] * 3
    assert written() == set()
    with write("test") as connection:
        insert("later")(connection)
    assert written() == {"later"}


def test_each_is_told_by_an_error_of_his_own(context: Flask) -> None:
    """Else one writer's statements would be in the logged traceback of another."""
    crowd = QueuedWriters(context)
    for block in (insert("a"), badly, insert("b"), insert("c")):
        crowd.comes(block)
    assert crowd.goes() == ["DatabaseUnavailable"] * 4
    assert len({id(error.__cause__) for error in crowd.raised.values()}) == 4
    assert all(error.__cause__ is not None for error in crowd.raised.values())


def test_a_commit_that_fails_is_not_told_to_who_comes_after_it(context: Flask) -> None:
    crowd = QueuedWriters(context)
    crowd.comes(insert("a"))
    crowd.comes(badly)
    crowd.comes(insert("b"), is_long=True)
    assert crowd.goes() == ["DatabaseUnavailable", "DatabaseUnavailable", "written"]
    assert written() == {"b"}


def test_writers_of_another_application_neither_join_nor_wait(
    context: Flask, make_app: MakeApp, tmp_path: Path
) -> None:
    (tmp_path / "other.db").write_bytes((tmp_path / "chatbot.db").read_bytes())
    other = make_app(DATABASE_URL=f"sqlite:///{tmp_path / 'other.db'}")
    crowd = QueuedWriters(context)
    crowd.comes(insert("here"))
    with other.app_context():
        with write("test") as connection:
            insert("there")(connection)
        assert written() == {"there"}
    crowd.comes(insert("here too"))
    assert crowd.goes() == ["written"] * 2
    assert written() == {"here", "here too"}
