"""The usage of documents: the stored bytes, through all changes of their versions."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database import failpoints
from chatbot.database.state import get_database_state
from chatbot.database.transactions import read
from chatbot.models import Chunk, ChunkVector, Collection, DocumentPiece
from chatbot.services.knowledge import collections, content, verification
from chatbot.services.knowledge.ingestion import worker
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import MakeApp, Person, join

pytestmark = pytest.mark.both_databases

BLANK = " " * 40_000
THICK = "word " * 10_000


def stored_and_counted(app: Flask) -> tuple[int, int]:
    with app.app_context(), read() as connection:
        pieces = connection.scalars(sa.select(DocumentPiece.data)).all()
        return sum(map(len, pieces)), connection.scalar(sa.select(sa.func.sum(Collection.size))) or 0


def put(who: Person, document: dict[str, Any], text: str) -> None:
    replaced = who.call("PUT", f"/api/documents/{document['id']}/", {"title": "x", "text": text})
    assert replaced.status_code == 202, replaced.get_json()


def test_account_is_what_is_stored_through_versions_that_fail(app: Flask, ada: Person) -> None:
    document = send(ada, "Thick", THICK)
    work(app)
    for number in range(3):
        put(ada, document, BLANK + " " * number)
        stored, counted = stored_and_counted(app)
        assert stored == counted == len(THICK) + len(BLANK) + number
        work(app)
    put(ada, document, HOURS)
    put(ada, document, BEES)  # before anybody has read the one before
    assert stored_and_counted(app) == (len(THICK) + len(BEES), len(THICK) + len(BEES))
    work(app)
    assert stored_and_counted(app) == (len(BEES), len(BEES))
    with app.app_context():
        assert list(verification.verify(lambda _: None)) == []
    ada.call("DELETE", f"/api/documents/{document['id']}/")
    assert stored_and_counted(app) == (0, 0)


def test_version_that_fails_frees_no_room(make_app: MakeApp) -> None:
    app = make_app(KNOWLEDGE_BYTES="60000")
    ada = join(app.test_client(), "ada")
    document = send(ada, "Thick", THICK)
    work(app)
    put(ada, document, " ")
    work(app)
    refused = ada.call("POST", "/api/documents/", {"title": "More", "text": THICK + "more"})
    assert refused.get_json()["code"] == "quota_exceeded"


def test_quota_holds_over_collections_that_are_filled_at_once(make_app: MakeApp) -> None:
    app = make_app(KNOWLEDGE_BYTES=str(content.ROW_BYTES * 7 + 1000))  # six collections, one document
    ada = join(app.test_client(), "ada")
    homes = [ada.call("POST", "/api/collections/", {"name": f"c{n}"}).get_json()["id"] for n in range(6)]

    def fill(home: str) -> int:
        who = Person(app.test_client(), ada.name, ada.id, ada.access_token, "")
        body = {"title": "x", "text": "a" * 900, "collection_id": home}
        return who.call("POST", "/api/documents/", body).status_code

    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(fill, homes))
    assert codes.count(202) == 1, codes


def test_many_passages_go_some_at_a_time(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_CHUNKS_PER_DELETE", 2)
    home = ada.call("POST", "/api/collections/", {"name": "c"}).get_json()["id"]
    text = "\n\n".join(f"# Part {n}\n\n{HOURS * 20}" for n in range(9))
    one = send(ada, "A", text, collection_id=home)
    send(ada, "B", text + BEES, collection_id=home)
    work(app)
    with app.app_context(), read() as connection:
        assert (connection.scalar(sa.select(sa.func.count()).select_from(Chunk)) or 0) > 10
    assert ada.call("DELETE", f"/api/documents/{one['id']}/").status_code == 204
    assert ada.call("DELETE", f"/api/collections/{home}/").status_code == 204
    with app.app_context(), read() as connection:
        for table in (Chunk, ChunkVector, DocumentPiece):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_documents_are_claimed_by_what_they_take(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_CLAIMED_BYTES", 200)
    for number in range(5):
        send(ada, f"{number}", f"{number} " + "x" * 88)
    send(ada, "thick", "y" * 1_000)
    with app.app_context():
        assert [len(worker.claim()) for _ in range(5)] == [2, 2, 1, 1, 0]


def test_on_sqlite_who_stores_or_deletes_much_keeps_nobody_elses_commit_waiting(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        commits = get_database_state().group_commit
    alone = list[bool]()
    writing = commits.writing

    def noted(*arguments: Any, **options: Any) -> Any:
        alone.append(options.get("is_long", False))
        return writing(*arguments, **options)

    def is_alone(method: str, path: str, body: Any = None) -> bool:
        alone.clear()
        assert ada.call(method, path, body).status_code in {202, 204}
        return any(alone)

    monkeypatch.setattr(commits, "writing", noted)
    monkeypatch.setattr(content, "PIECE_BYTES", 1_000)
    on_sqlite = app.config["DATABASE_URL"].startswith("sqlite")
    home = ada.call("POST", "/api/collections/", {"name": "Much"}).get_json()["id"]
    assert not is_alone("POST", "/api/documents/", {"title": "Little", "text": HOURS, "collection_id": home})
    thick = {"title": "Much", "text": THICK, "collection_id": home}
    assert is_alone("POST", "/api/documents/", thick) == on_sqlite
    document = send(ada, "Hours", HOURS)
    assert is_alone("PUT", f"/api/documents/{document['id']}/", {"title": "x", "text": BEES}) == on_sqlite
    assert is_alone("DELETE", f"/api/documents/{document['id']}/") == on_sqlite
    assert is_alone("DELETE", f"/api/collections/{home}/") == on_sqlite


@pytest.mark.parametrize(("constant", "most"), [("MAX_DOCUMENTS", 2), ("MAX_DELETED_BYTES", 2 * len(HOURS))])
def test_large_collection_goes_in_transactions_that_each_leave_a_whole_one(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch, constant: str, most: int
) -> None:
    monkeypatch.setattr(collections, "BYTES_OF_CHUNK", 0)
    monkeypatch.setattr(collections, constant, most)
    home = ada.call("POST", "/api/collections/", {"name": "large"}).get_json()["id"]
    for number in range(5):
        send(ada, f"{number}", HOURS.replace("a", f"{number}"), collection_id=home)
    work(app)
    left: list[int] = []

    def breaks_off(point: str) -> None:
        if point == "delete_collection:committed" and (stored := stored_and_counted(app)[0]):
            left.append(stored // len(HOURS))
            if len(left) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "reach", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        ada.call("DELETE", f"/api/collections/{home}/")
    stored, counted = stored_and_counted(app)
    assert stored == counted == 3 * len(HOURS)
    assert len(find(ada, "library", collection_ids=[home], per_document=9)) == 3
    with app.app_context():
        assert list(verification.verify(lambda _: None)) == []
    assert ada.call("DELETE", f"/api/collections/{home}/").status_code == 204
    assert left == [3, 1]
    assert stored_and_counted(app) == (0, 0)
    assert ada.call("GET", f"/api/collections/{home}/").status_code == 404
