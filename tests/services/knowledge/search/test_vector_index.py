"""The copies of vectors in a process: whole or not there, while collections come, go and make room for each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import DatabaseBusy, LeaseLost, StorageFull
from chatbot.jobs import knowledge as job
from chatbot.models import Collection, VectorCopy
from chatbot.rag.errors import StoreFailed, StoreFenced
from chatbot.services import periodic
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.search import readable, replicas, vector_index
from chatbot.services.knowledge.search.replicas import ReplicaPosition, TablePositions
from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_auth import log_in
from tests.api.test_documents import HOURS, find, send, work
from tests.conftest import MakeApp, Person, join

pytestmark = pytest.mark.both_databases

UNIT = np.ones(64, dtype=np.float32) / 8


def caller(who: Person) -> Caller:
    return Caller(UUID(who.id), UUID(int=0), "user")


def send_many(who: Person, number: int) -> None:
    for each in range(number):
        send(who, f"{each}", f"{HOURS} {each}")


def dense_hits(who: Person, **said: Any) -> int:
    return sum(one["dense_rank"] is not None for one in find(who, "library", limit=100, per_document=100, **said))


def test_load_that_breaks_off_is_begun_again(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(VECTOR_STORE="faiss")
    ada = join(app.test_client(), "ada")
    send_many(ada, 12)
    work(app)
    assert dense_hits(ada) == 12
    with app.app_context():
        held = get_knowledge_state().vector_index
    for collection in held.store.collections():
        held.store.forget(collection)  # as another collection does that needs the room
    monkeypatch.setattr(vector_index, "ROWS", 5)
    real = vector_index.read
    calls = []

    @contextmanager
    def busy() -> Iterator[Any]:
        calls.append(1)
        if len(calls) == 2:
            raise DatabaseBusy("busy", retry_after=1)
        with real() as connection:
            yield connection

    monkeypatch.setattr(vector_index, "read", busy)
    assert ada.call("POST", "/api/search/", {"query": "library"}).status_code == 503
    assert dense_hits(ada) == 12


def test_collections_that_make_room_for_each_other_are_all_searched(make_app: MakeApp) -> None:
    app = make_app(VECTOR_STORE="faiss", VECTOR_BYTES=str(1 << 20))
    ada = join(app.test_client(), "ada")
    homes = [ada.call("POST", "/api/collections/", {"name": f"c{n}"}).get_json()["id"] for n in range(2)]
    for number in range(8):
        send(ada, f"{number}", f"{HOURS} {number}", collection_id=homes[number % 2])
    work(app)
    assert dense_hits(ada) == 8
    with app.app_context():
        options = get_knowledge_state().vector_index.store.options  # type: ignore[attr-defined]  # of FaissStore
    object.__setattr__(options, "max_bytes", 1)

    def search(number: int) -> int:
        who = Person(app.test_client(), ada.name, ada.id, ada.access_token, "")
        return dense_hits(who, collection_ids=[homes[number % 2]])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(search, range(60))) == {4}


def test_collections_that_are_deleted_are_let_go(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "BETWEEN_CLEANINGS", 0.0)
    for number in range(5):
        home = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
        send(ada, f"{number}", HOURS, collection_id=home)
        work(app)
        find(ada, "library", collection_ids=[home])
        ada.call("DELETE", f"/api/collections/{home}/")
    periodic.run(app, job.follow_replicas)
    with app.app_context():
        held = get_knowledge_state().vector_index
    assert (held.store.collections(), len(held.locks)) == ([], 0)


def test_copies_that_are_wrong_lead_nowhere_else(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
    send(ada, "Hours", HOURS, metadata={"year": 2020})
    here = send(ada, "Here", f"{HOURS} Here.", collection_id=home, metadata={"year": 2026})["id"]
    work(app)
    with app.app_context():
        search = get_knowledge_state().vector_index.search
        everything = [
            one
            for mine in readable.find_searched_collections(caller(ada))
            for one in search(mine, "memory-64", UNIT, 9, None)
        ]
        monkeypatch.setattr(get_knowledge_state().vector_index, "search", lambda *_: everything)
    assert {one["document_id"] for one in find(ada, "library", collection_ids=[home])} == {here}
    assert {one["document_id"] for one in find(ada, "library", filter={"year": 2026})} == {here}


@pytest.fixture
def two(make_app: MakeApp, tmp_path: Path) -> list[Flask]:
    """Two processes, as far as they can be had in one, on one database and one store."""
    return [make_app(INSTANCE_PATH=str(tmp_path / name)) for name in ("one", "other")]


on_pgvector = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def reader(two: list[Flask]) -> Person:
    """Return a user with one document, which was copied and found."""
    person = join(two[0].test_client(), "ada")
    send(person, "Hours", HOURS)
    work(two[0])
    assert dense_hits(person) == 1
    return person


def as_seen_by(app: Flask, who: Person) -> Person:
    client = app.test_client()
    return Person(client, who.name, who.id, log_in(client, f"{who.name}@example.org").get_json()["access_token"], "")


@on_pgvector
def test_shared_copy_is_followed_by_whoever_searches_first(two: list[Flask]) -> None:
    ada = join(two[0].test_client(), "ada")
    other = as_seen_by(two[1], ada)
    send_many(ada, 6)
    work(two[0])
    assert (dense_hits(other), dense_hits(ada)) == (6, 6)
    document = send(ada, "more", f"{HOURS} more")["id"]
    work(two[1])
    assert (dense_hits(ada), dense_hits(other)) == (7, 7)
    ada.call("DELETE", f"/api/documents/{document}/")
    assert (dense_hits(other), dense_hits(ada)) == (6, 6)
    with two[0].app_context(), read() as connection:
        store = get_knowledge_state().vector_index.store
        assert [store.count(name) for name in store.collections()] == [6]
        assert connection.scalar(sa.select(VectorCopy.expires_at)) is None


@on_pgvector
def test_searches_at_once_make_one_copy(two: list[Flask]) -> None:
    ada = join(two[0].test_client(), "ada")
    send_many(ada, 20)
    work(two[0])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: dense_hits(as_seen_by(two[number % 2], ada)), range(24)))
    assert found[-1] == 20
    with two[0].app_context():
        store = get_knowledge_state().vector_index.store
        assert [store.count(name) for name in store.collections()] == [20]


@on_pgvector
def test_store_that_lost_all_is_filled_again(two: list[Flask], reader: Person, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE pgvector_items, pgvector_collections")
    assert dense_hits(as_seen_by(two[1], reader)) == 1


@on_pgvector
def test_store_that_fails_leaves_the_words(two: list[Flask], monkeypatch: pytest.MonkeyPatch) -> None:
    ada = join(two[0].test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(two[0])
    with two[0].app_context():
        store = get_knowledge_state().vector_index.store

    def fails(*_: Any) -> Any:
        raise StoreFailed("pgvector: gone")

    monkeypatch.setattr(store, "search", fails)
    response = ada.call("POST", "/api/search/", {"query": "library"})
    assert response.status_code == 200
    assert [item["dense_rank"] for item in response.get_json()["items"]] == [None]


@on_pgvector
def test_half_a_copy_is_not_the_whole(two: list[Flask], reader: Person) -> None:
    with two[1].app_context():
        (home,) = [UUID(name) for name in get_knowledge_state().vector_index.store.collections()]
        with get_knowledge_state().vector_index.positions.hold(home) as held:
            assert held is not None
            held.begin()  # as a process does that is about to fill it
            assert dense_hits(reader) == 0
            assert len(find(reader, "library")) == 1
    assert dense_hits(reader) == 1


@on_pgvector
def test_holder_that_slept_cannot_empty_the_copy_of_another(two: list[Flask], reader: Person) -> None:
    with two[0].app_context():
        dense_search = get_knowledge_state().vector_index
        (name,) = dense_search.store.collections()
        with pytest.raises(StoreFenced):
            dense_search.store.open(name, "memory-64", 1, 64, fence=0)
        with pytest.raises(StoreFenced):
            dense_search.store.change(name, [], vector_index.to_batch([]), fence=0)
    assert dense_hits(reader) == 1


@on_pgvector
def test_store_that_is_older_than_a_restored_database_is_filled_at_once(two: list[Flask], reader: Person) -> None:
    with two[0].app_context(), write("test") as connection:
        connection.execute(sa.update(VectorCopy).values(token=40))
    send(reader, "More", f"{HOURS} more")
    work(two[0])
    assert dense_hits(reader) == 2
    with two[0].app_context(), write("test") as connection:
        connection.execute(sa.delete(VectorCopy))  # no backup has it, and the store keeps its own
    assert dense_hits(reader) == 2


@on_pgvector
def test_database_that_takes_nothing_leaves_what_was_copied(
    two: list[Flask], reader: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(reader, "More", f"{HOURS} More.")
    work(two[0])

    @contextmanager
    def full(_: str) -> Iterator[Any]:
        raise StorageFull("full", retry_after=1)
        yield

    monkeypatch.setattr(replicas, "write", full)
    assert len(find(reader, "library")) == 2
    assert dense_hits(reader) == 1


@on_pgvector
def test_clock_of_another_host_costs_no_loading(
    two: list[Flask], reader: Person, clock: time_machine.Traveller
) -> None:

    tokens = set()
    for seconds in (0, -60):
        clock.shift(seconds)
        assert dense_hits(as_seen_by(two[1], reader)) == 1
        with two[1].app_context(), read() as connection:
            tokens.add(connection.scalar(sa.select(VectorCopy.token)))
    assert len(tokens) == 1  # a loading begins with a lease, which has the next one


@on_pgvector
def test_process_that_slept_changes_no_copy_of_another(context: Flask) -> None:
    with write("make") as connection:
        home = uuid7()
        values = {"id": home, "name": "c", "description": "", "visibility": "private"}
        connection.execute(sa.insert(Collection).values(values))
    sleeper = TablePositions("pgvector")
    other = TablePositions("pgvector")
    with sleeper.hold(home) as slept:
        assert slept is not None
        with other.hold(home) as second:
            assert second is None
        with write("run_out") as connection:
            connection.execute(sa.update(VectorCopy).values(expires_at=now() - timedelta(seconds=1)))
        with other.hold(home) as second:
            assert second is not None
            second.reach(ReplicaPosition("s", 7, 1.0))
            for late in (slept.begin, slept.keep, lambda: slept.reach(ReplicaPosition("s", 3, 1.0))):
                with pytest.raises(LeaseLost):
                    late()
    assert other.get(home) == ReplicaPosition("s", 7, 1.0)
    assert other.get(uuid7()) is None
    with other.hold(uuid7()) as nothing:  # a collection that is gone by now
        assert nothing is None
