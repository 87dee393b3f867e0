"""PostgreSQL, where one user's writes wait for each other: other users do not wait for them."""

import threading
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.base import db
from chatbot.database.state import MAX_WAITING_WRITERS_PER_USER, get_database_state
from chatbot.errors import DatabaseBusy, IdempotencyKeyReused
from chatbot.models import Collection, User
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge import collections, documents
from chatbot.services.knowledge.content import Content
from tests.conftest import Person
from tests.support.databases import count_waiting
from tests.support.waiting import wait_for


@pytest.fixture
def database_url(postgres_url: str, tmp_path: Path) -> str:
    """In SQLite all writers queue without connections."""
    return postgres_url


def wait_for_full_queue(user_id: UUID) -> None:
    """Wait until as many of a user's writers wait as may."""
    waiting_writers = get_database_state().waiting_writers
    wait_for(lambda: waiting_writers.inside[user_id] == MAX_WAITING_WRITERS_PER_USER)


def home(caller: Caller, name: str) -> UUID:
    made: UUID = collections.create(caller, {"name": name}).id
    return made


def test_many_uploads_behind_a_long_deletion_leave_connections_for_chats(
    context: Flask, ada: Person, eve: Person
) -> None:
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    done = Counter[str]()
    collection_id = home(caller, "large")

    def send(number: int) -> None:
        with context.app_context():
            try:
                documents.create(caller, Content(f"{number}", "text/plain", (b"%d" % number,)), collection_id)
                done["stored"] += 1
            except DatabaseBusy:
                done["busy"] += 1

    threads = [threading.Thread(target=send, args=[number]) for number in range(40)]
    with db.engine.connect().execution_options(isolation_level="READ COMMITTED") as holder, holder.begin():
        holder.execute(sa.select(Collection.id).where(Collection.id == collection_id).with_for_update())
        for thread in threads:
            thread.start()
        wait_for_full_queue(UUID(ada.id))
        started = time.monotonic()
        assert eve.says("hi").status_code == 200
        assert time.monotonic() - started < 3
        assert db.engine.pool.checkedout() <= MAX_WAITING_WRITERS_PER_USER + 2
        hers = Caller(UUID(eve.id), UUID(int=1), "user")
        assert documents.create(hers, Content("hers", "text/plain", (b"hers",)), home(hers, "hers")).is_new
        assert time.monotonic() - started < 3
    for thread in threads:
        thread.join()
    assert done["stored"] >= MAX_WAITING_WRITERS_PER_USER
    assert done.total() == 40


def test_many_renames_behind_a_long_switch_leave_connections_for_chats(
    app: Flask, context: Flask, ada: Person, eve: Person
) -> None:
    statuses: Counter[int] = Counter()

    def rename(number: int) -> None:
        mine = Person(app.test_client(), ada.name, ada.id, ada.access_token, "")
        statuses[mine.call("PATCH", "/api/users/me/", {"username": f"ada{number}"}).status_code] += 1

    threads = [threading.Thread(target=rename, args=[number]) for number in range(30)]
    with db.engine.connect().execution_options(isolation_level="READ COMMITTED") as holder, holder.begin():
        holder.execute(sa.select(User.id).where(User.id == UUID(ada.id)).with_for_update(key_share=True))
        for thread in threads:
            thread.start()
        wait_for_full_queue(UUID(ada.id))
        started = time.monotonic()
        assert eve.says("hi").status_code == 200
        assert time.monotonic() - started < 3
    for thread in threads:
        thread.join()
    assert statuses[200] >= MAX_WAITING_WRITERS_PER_USER
    assert statuses[200] + statuses[503] == 30


def test_same_key_in_the_same_moment_with_another_body_is_told_so(
    context: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller(UUID(ada.id), UUID(int=1), "user")
    told = list[str]()
    homes = [home(caller, name) for name in ("one", "other")]
    store = idempotency.store
    stored = threading.Event()

    def slowly(*given: object, **options: object) -> None:
        store(*given, **options)  # type: ignore[arg-type]  # as they came
        if not stored.is_set():  # the other one is still to come
            stored.set()
            wait_for(lambda: count_waiting() == 1)

    monkeypatch.setattr(idempotency, "store", slowly)

    def send(number: int) -> None:
        key = idempotency.Key("POST /api/documents/", "k", bytes([number]) * 32, frozenset())
        with context.app_context():
            try:
                documents.create(caller, Content("same", "text/plain", (b"same",)), homes[number], key=key)
                told.append("stored")
            except IdempotencyKeyReused:
                told.append("reused")

    threads = [threading.Thread(target=send, args=[number]) for number in (0, 1)]
    threads[0].start()
    assert stored.wait(30)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["reused", "stored"]
