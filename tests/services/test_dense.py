"""The copies of vectors in a process: whole or not there, while collections come, go and make room for each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from flask import Flask

from chatbot.errors import DatabaseBusy
from chatbot.jobs import knowledge as job
from chatbot.services import dense, loops, retrieval, wiring
from chatbot.services.identity import Caller
from tests.api.test_documents import HOURS, find, send, work
from tests.conftest import MakeApp, Person, join

UNIT = np.ones(64, dtype=np.float32) / 8


def caller(who: Person) -> Caller:
    return Caller(UUID(who.id), UUID(int=0), "user")


def dense_hits(who: Person, **said: Any) -> int:
    return sum(one["dense_rank"] is not None for one in find(who, "library", limit=100, per_document=100, **said))


def test_load_that_breaks_off_is_begun_again(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        send(ada, f"{number}", f"{HOURS} {number}")
    work(app)
    assert dense_hits(ada) == 12
    with app.app_context():
        held = wiring.dense()
    for collection in list(held._followed):
        held._store.forget(str(collection))  # as another collection does that needs the room
    monkeypatch.setattr(dense, "ROWS", 5)
    real, calls = dense.read, []

    @contextmanager
    def busy() -> Iterator[Any]:
        calls.append(1)
        if len(calls) == 2:
            raise DatabaseBusy("busy", retry_after=1)
        with real() as connection:
            yield connection

    monkeypatch.setattr(dense, "read", busy)
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
        options = wiring.dense()._store._options  # type: ignore[attr-defined]  # of FaissStore
    object.__setattr__(options, "most_bytes", 1)

    def search(number: int) -> int:
        who = Person(app.test_client(), ada.name, ada.id, ada.access_token, "")
        return dense_hits(who, collection_ids=[homes[number % 2]])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(search, range(60))) == {4}


def test_collections_that_are_deleted_are_let_go(app: Flask, ada: Person) -> None:
    for number in range(5):
        home = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
        send(ada, f"{number}", HOURS, collection_id=home)
        work(app)
        find(ada, "library", collection_ids=[home])
        ada.call("DELETE", f"/api/collections/{home}/")
    loops.run(app, job.follow)
    with app.app_context():
        held = wiring.dense()
    assert (len(held._followed), len(held._locks)) == (0, 0)


def test_copies_that_are_wrong_lead_nowhere_else(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
    send(ada, "Hours", HOURS, metadata={"year": 2020})
    here = send(ada, "Here", f"{HOURS} Here.", collection_id=home, metadata={"year": 2026})["id"]
    work(app)
    with app.app_context():
        search = wiring.dense().search
        everything = [
            one for mine in retrieval.searched(caller(ada)) for one in search(mine, "memory-64", UNIT, 9, None)
        ]
        monkeypatch.setattr(wiring.dense(), "search", lambda *_: everything)
    assert {one["document_id"] for one in find(ada, "library", collection_ids=[home])} == {here}
    assert {one["document_id"] for one in find(ada, "library", filter={"year": 2026})} == {here}
