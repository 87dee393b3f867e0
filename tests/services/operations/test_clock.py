"""Clocks that jump, that are set right again, and that differ between hosts."""

from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from chatbot.database import leases
from chatbot.database.base import db
from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.errors import CannotServe, SuspiciousClock
from chatbot.models import ChatMessage, Document, VectorCopy
from chatbot.services.chat import maintenance
from chatbot.services.knowledge.ingestion import worker
from chatbot.services.operations import clock as watches
from chatbot.services.operations import retention
from chatbot.worker import startup
from tests.api.test_documents import HOURS, send, work
from tests.conftest import MakeApp, Person, join
from tests.services.knowledge.search.test_vector_index import dense_hits, on_pgvector

pytestmark = pytest.mark.both_databases

MONTH = timedelta(days=30)


class Time:
    """Wall and steady time that a test moves."""

    def __init__(self, wall: time_machine.Traveller) -> None:
        self._wall = wall
        self.steady = 1000.0

    def watch(self) -> watches.Watch:
        return watches.Watch(lambda: self.steady)

    def passes(self, **span: float) -> None:
        self._wall.shift(timedelta(**span))
        self.steady += timedelta(**span).total_seconds()

    def jumps(self, **span: float) -> None:
        self._wall.shift(timedelta(**span))


@pytest.fixture
def hands(context: Flask, clock: time_machine.Traveller) -> Time:
    return Time(clock)


def purges(watch: watches.Watch) -> bool:
    return retention.purge_if_due(MONTH, watch) is not None


@pytest.mark.parametrize("years", [2, -2])
def test_jump_while_running_delays_by_24_hours_and_no_more(hands: Time, years: int) -> None:
    watch = hands.watch()
    assert purges(watch)
    hands.passes(hours=25)
    hands.jumps(days=365 * years)
    assert not purges(watch)
    with pytest.raises(SuspiciousClock):
        retention.purge(MONTH)
    hands.passes(hours=23)
    assert not purges(watch)
    hands.passes(hours=2)
    assert purges(watch)


def test_jump_before_the_start_is_seen_by_the_last_heartbeat(hands: Time) -> None:
    assert purges(hands.watch())
    hands.jumps(days=8)
    restarted = hands.watch()
    assert not purges(restarted)
    assert not purges(hands.watch())  # another restart does not forget it
    hands.passes(hours=24.1)
    assert purges(restarted)


def test_six_days_of_downtime_delay_nothing(hands: Time) -> None:
    assert purges(hands.watch())
    hands.passes(days=6)
    assert purges(hands.watch())


def test_force_goes_on_all_the_same(hands: Time) -> None:
    assert purges(hands.watch())
    hands.jumps(days=9)
    with pytest.raises(SuspiciousClock, match="UTC"):
        retention.purge(MONTH)
    assert retention.purge(MONTH, force=True).turns == 0


def test_steady_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watches.read_boot_time() <= watches.read_boot_time()
    monkeypatch.delattr(watches.time, "CLOCK_BOOTTIME", raising=False)
    assert watches.read_boot_time() <= watches.read_boot_time()


def test_clock_that_was_wrong_for_a_day_and_set_right_delays_by_a_day_again(hands: Time) -> None:
    watch = hands.watch()
    assert purges(watch)
    hands.passes(hours=25)
    hands.jumps(days=730)
    assert not purges(watch)
    hands.passes(hours=25)
    assert purges(watch)  # it was believed
    hands.jumps(days=-730)
    assert not purges(watch)
    hands.passes(hours=25)
    assert purges(watch)


def test_lease_of_a_purge_that_died_under_a_wrong_clock_is_free(hands: Time) -> None:
    leases.ensure("purge")
    hands.jumps(days=730)
    assert leases.acquire("purge", retention.LENGTH) is not None
    assert leases.acquire("purge", retention.LENGTH) is None
    hands.jumps(days=-730)
    assert leases.acquire("purge", retention.LENGTH) is not None


def test_penalty_of_another_process_lasts_a_day_from_when_the_clock_is_right(hands: Time) -> None:
    one = hands.watch()
    other = hands.watch()
    assert purges(one)
    assert not purges(other)
    hands.jumps(days=730)
    assert not purges(one)
    hands.jumps(days=-730)  # before the other one looks
    hands.passes(hours=1)
    assert not purges(other)
    hands.passes(hours=25)
    assert purges(other)


def test_turn_that_was_begun_under_a_wrong_clock_is_closed(context: Flask, ada: Person) -> None:
    said = ada.says("Hi").get_json()
    for wrong, closed in ((timedelta(minutes=1), 0), (timedelta(hours=2), 1)):
        with write("test") as connection:
            values = {"status": "pending", "lease_token": UUID(int=5), "lease_expires_at": now() + wrong}
            connection.execute(db.update(ChatMessage).values(**values))
        assert maintenance.close_abandoned() == closed
    assert ada.says("Again", conversation_id=said["conversation_id"]).status_code == 200


def test_document_that_was_begun_under_a_wrong_clock_is_worked_on(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    with app.app_context():
        assert len(worker.claim()) == 1  # its worker is killed
        with write("test") as connection:
            connection.execute(db.update(Document).values(lease_expires_at=now() + timedelta(days=730)))
    work(app)
    assert ada.call("GET", f"/api/documents/{document['id']}/").get_json()["status"] == "ready"


@on_pgvector
def test_copy_that_was_taken_under_a_wrong_clock_is_filled(make_app: MakeApp) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert dense_hits(ada) == 1
    with app.app_context(), write("test") as connection:
        connection.execute(db.update(VectorCopy).values(expires_at=now() + timedelta(days=730), space=None))
    assert dense_hits(ada) == 1


@pytest.mark.parametrize(("seconds", "said"), [(20, "20 s ahead of"), (-20, "20 s behind"), (1, "")])
def test_host_whose_clock_is_not_the_databases_does_not_start(
    context: Flask, clock: time_machine.Traveller, seconds: int, said: str
) -> None:
    clock.shift(seconds)
    if db.engine.dialect.name == "postgresql" and said:
        with pytest.raises(CannotServe, match=rf"DATABASE_URL: The clock of this host is {said} the database's: set "):
            startup.require_services(wait_for_database=False)
    else:  # SQLite has the clock of its host
        startup.require_services(wait_for_database=False)
