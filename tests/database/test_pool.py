"""Waiters for a database connection are served in order, and no connection is lost."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatbot.database.base import db
from chatbot.database.pool import FairPool
from tests.conftest import MakeApp
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

SIZE = 2


def make_engine(timeout: float) -> sa.Engine:
    return sa.create_engine(
        "sqlite://",
        connect_args={"check_same_thread": False},
        poolclass=FairPool,
        pool_size=SIZE,
        max_overflow=0,
        pool_timeout=timeout,
    )


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    made = make_engine(0.05)
    yield made
    made.dispose()


@pytest.fixture
def patient_engine() -> Iterator[sa.Engine]:
    made = make_engine(30.0)
    yield made
    made.dispose()


def pool_of(engine: sa.Engine) -> FairPool:
    assert isinstance(engine.pool, FairPool)
    return engine.pool


def take_all(engine: sa.Engine) -> list[sa.Connection]:
    """Take every connection, which shows that none was lost, and that there are no more."""
    taken = [engine.connect() for _ in range(SIZE)]
    with pytest.raises(PoolTimeout, match=r"No connection within 0\.05 seconds"):
        engine.connect()
    return taken


@pytest.mark.parametrize("size", [{"max_overflow": 1}, {"pool_size": 0, "max_overflow": 0}])
def test_pool_keeps_all_that_it_makes(size: dict[str, int]) -> None:
    """A connection beyond the pool was made for one use: half of PostgreSQL's work for a chat."""
    with pytest.raises(ValueError, match="max_overflow 0"):
        sa.create_engine("sqlite:///file", poolclass=FairPool, **size)


def test_application_uses_it(make_app: MakeApp) -> None:
    with make_app().app_context():
        assert isinstance(db.engine.pool, FairPool)


def test_who_comes_last_is_served_last(patient_engine: sa.Engine) -> None:
    engine = patient_engine
    pool = pool_of(engine)
    came = list[int]()
    threads = list[threading.Thread]()
    taken = [engine.connect() for _ in range(SIZE)]

    def use(place: int) -> None:
        with engine.connect():
            came.append(place)

    for place in range(20):
        threads.append(threading.Thread(target=use, args=[place]))
        threads[-1].start()
        wait_for(lambda place=place: pool.semaphore.waiting_count > place)
    taken.pop().close()
    use(20)  # in the moment in which one was given back
    taken.pop().close()
    for thread in threads:
        thread.join(30)
    assert came == list(range(21))


def test_those_that_break_give_their_places_back(engine: sa.Engine) -> None:
    for _ in range(2):
        for connection in take_all(engine):
            connection.invalidate()
            connection.close()
    for connection in take_all(engine):
        connection.detach()
        connection.close()
    for connection in take_all(engine):
        connection.close()


def test_connection_that_cannot_be_made_keeps_no_place(engine: sa.Engine) -> None:
    def refuse(*_: object) -> None:
        raise sa.exc.OperationalError("", None, Exception("refused"))

    sa.event.listen(engine, "do_connect", refuse)
    for _ in range(SIZE + 1):
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
    sa.event.remove(engine, "do_connect", refuse)
    for connection in take_all(engine):
        connection.close()


def test_pool_that_was_made_anew_serves_as_many(engine: sa.Engine) -> None:
    before = take_all(engine)
    engine.dispose()
    after = take_all(engine)
    for connection in before + after:
        connection.close()
    for connection in take_all(engine):
        connection.close()


@pytest.mark.parametrize("options", [{"pool_size": 0, "max_overflow": 0}, {"pool_size": 1, "max_overflow": 1}])
def test_pool_of_no_size_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_overflow 0"):
        sa.create_engine("sqlite://", poolclass=FairPool, **options)
