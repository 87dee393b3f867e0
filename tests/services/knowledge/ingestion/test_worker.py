"""The queue of documents, its followers in other processes, and failures of the embedder."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.jobs import knowledge as job
from chatbot.models import Chunk, ChunkVector, Document, EmbeddingSpace
from chatbot.rag.errors import ParserCrashed
from chatbot.services.knowledge import verification
from chatbot.services.knowledge.ingestion import publication, sources, worker
from chatbot.services.knowledge.ingestion import queue as queues
from chatbot.services.knowledge.search import embeddings
from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import MakeApp, Person, join
from tests.support import databases

pytestmark = pytest.mark.both_databases


def rows(*columns: Any) -> list[Any]:
    with read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


def abandon() -> None:
    """Let the leases of a worker that died run out."""
    with write("test") as connection:
        connection.execute(db.update(Document).values(lease_expires_at=now() - timedelta(seconds=1)))


def test_claim_counts_before_the_work_and_gives_up_after_three(app: Flask, ada: Person) -> None:
    send(ada, "Hours", HOURS)
    with app.app_context():
        for attempt in (1, 2, 3):
            assert len(worker.claim()) == 1
            assert rows(Document.status, Document.attempts) == [("processing", attempt)]
            assert worker.claim() == []
            abandon()
        assert worker.process_batch() == 0
    document = ada.call("GET", "/api/documents/").get_json()["items"][0]
    assert (document["status"], document["error"]["code"]) == ("failed", "gave_up")
    assert document["error"]["title"] == "Its processing broke off 3 times."
    assert ada.call("POST", f"/api/documents/{document['id']}/retry/").status_code == 202
    work(app)
    assert find(ada, "library")[0]["document_id"] == document["id"]


def test_document_that_broke_off_comes_alone_and_the_queue_goes_on(app: Flask, ada: Person) -> None:
    send(ada, "Hours", HOURS)
    with app.app_context():
        worker.claim()
        abandon()
    send(ada, "Bees", BEES)
    with app.app_context():
        (first,) = worker.claim()
        (second,) = worker.claim()
    assert (first.title, second.title) == ("Bees", "Hours")


def test_lease_is_renewed_while_the_work_goes_on(app: Flask, ada: Person) -> None:
    send(ada, "Hours", HOURS)
    with app.app_context():
        (one,) = worker.claim()
        get_knowledge_state().claimed_documents[one.id] = one.token
        abandon()
        worker.renew_leases()
        assert worker.claim() == []
        assert rows(Document.lease_expires_at)[0][0] > now()


def test_work_that_somebody_else_took_over_changes_nothing(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    with app.app_context():
        (one,) = worker.claim()
        assert worker.parse_job(one)
    ada.call("PUT", f"/api/documents/{document['id']}/", {"title": "Hours", "text": "Changed meanwhile."})
    with app.app_context():
        assert one.chunks
        publication.publish([one], publication.DocumentVectors())
        assert rows(Chunk.id) == []
    work(app)
    assert [one["quote"] for one in find(ada, "changed meanwhile")] == ["Changed meanwhile."]


def test_unreadable_document_fails_with_a_sentence_and_the_queue_goes_on(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = send(ada, "Zero", "\u200b")
    send(ada, "Hours", HOURS)
    parsed = sources.parse_source

    def blank(one: publication.Job) -> Any:
        found = parsed(one)
        if found is not None and one.title == "Zero":
            raise sources.UnreadableDocument("The document has no text.")
        return found

    monkeypatch.setattr(sources, "parse_source", blank)
    work(app)
    document = ada.call("GET", f"/api/documents/{bad['id']}/").get_json()
    assert (document["status"], document["error"]["code"]) == ("failed", "unreadable_document")
    assert document["error"]["title"] == "The document has no text."
    assert find(ada, "library")


def test_parser_that_crashes_is_tried_three_times_and_the_queue_goes_on(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = sources.parse_source
    tries = []

    def crash(one: publication.Job) -> Any:
        if one.title == "Bomb":
            tries.append(one.attempts)
            raise ParserCrashed("Reading the document broke its reader.")
        return parsed(one)

    monkeypatch.setattr(sources, "parse_source", crash)
    bad = send(ada, "Bomb", "boom")
    send(ada, "Hours", HOURS)
    work(app)
    document = ada.call("GET", f"/api/documents/{bad['id']}/").get_json()
    assert (document["status"], document["error"]["code"], tries) == ("failed", "parser_crashed", [1, 2, 3])
    assert find(ada, "library")


def test_work_that_breaks_our_own_code_does_not_end_the_queue(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "process_batch", lambda: 1 / 0)
    monkeypatch.setattr(job, "RETRY_SECONDS", 0)
    assert job.process_next_documents(app) == 0
    monkeypatch.undo()
    send(ada, "Hours", HOURS)
    assert job.process_next_documents(app) == 1
    assert find(ada, "library")


def test_who_works_is_woken_for_what_another_process_queued(app: Flask, ada: Person) -> None:
    with app.app_context():
        bells = [get_knowledge_state().queue_changed[queue] for queue in queues.QUEUES]
        job.signal_queued_documents()
        assert not any(bell.is_set() for bell in bells)
        send(ada, "Hours", HOURS)
        for bell in bells:
            bell.clear()
        job.signal_queued_documents()
    assert all(bell.is_set() for bell in bells)


def test_other_host_follows_what_came_changed_and_went(make_app: MakeApp, database_url: str, tmp_path: Path) -> None:
    one = make_app(**databases.SECRETS)
    url = database_url.replace("sqlite:///", f"sqlite:///{tmp_path}/")
    other = make_app(INSTANCE_PATH=str(tmp_path / "other"), DATABASE_URL=url, **databases.SECRETS)
    ada = join(one.test_client(), "ada")
    there = Person(other.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    document = send(ada, "Hours", HOURS)
    work(one)
    assert find(there, "library")[0]["quote"] == HOURS
    ada.call("PUT", f"/api/documents/{document['id']}/", {"title": "Hours", "text": "The library moved to the moon."})
    work(one)
    assert [found["quote"] for found in find(there, "library")] == ["The library moved to the moon."]
    send(ada, "Bees", BEES)
    work(one)
    assert find(there, "waggle dance of bees")[0]["title"] == "Bees"
    ada.call("DELETE", f"/api/documents/{document['id']}/")
    assert "The library moved to the moon." not in {found["quote"] for found in find(there, "library moon")}


def test_two_processes_on_one_host_share_the_index_of_words(make_app: MakeApp) -> None:
    one = make_app()
    other = make_app()
    ada = join(one.test_client(), "ada")
    there = Person(other.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    send(ada, "Hours", HOURS)
    work(one)
    assert find(ada, "library")[0]["lexical_rank"] == 1
    assert find(there, "library")[0]["lexical_rank"] == 1
    send(ada, "Bees", BEES)
    work(one)
    with one.app_context():
        get_knowledge_state().lexical_index.follow_all()  # what the job of the process that writes does every second
    assert find(there, "waggle")[0]["lexical_rank"] == 1


def test_deleted_collection_leaves_the_index_of_words(app: Flask, ada: Person) -> None:
    home = ada.call("POST", "/api/collections/", {"name": "Bees"}).get_json()["id"]
    send(ada, "Bees", BEES, collection_id=home)
    work(app)
    assert find(ada, "waggle")
    assert ada.call("DELETE", f"/api/collections/{home}/").status_code == 204
    assert find(ada, "waggle") == []
    with app.app_context():
        get_knowledge_state().lexical_index.follow_all()
        assert get_knowledge_state().lexical_index.index.search("waggle", [home], 5) == []


def test_reindex_goes_over_to_another_embedder_while_questions_are_answered(make_app: MakeApp) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    for title, text in (("Hours", HOURS), ("Bees", BEES)):
        send(ada, title, text)
    work(app)
    changed = make_app(EMBEDDER="wordllama")
    there = Person(changed.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    with changed.app_context():
        assert embeddings.find_outdated_space() == "memory-64"
    ready = there.client.get("/readyz").get_json()
    assert ready["checks"]["knowledge"].startswith("Searched are vectors of memory-64: `flask knowledge reindex`")
    assert find(there, "library")[0]["dense_rank"] is not None
    seen: list[int | None] = []
    with changed.app_context():
        assert embeddings.reindex(lambda _: seen.append(find(there, "library")[0]["dense_rank"])) == 2
        assert embeddings.find_outdated_space() is None
        assert rows(EmbeddingSpace.name, EmbeddingSpace.active) == [("memory-64", False), ("wordllama-256", True)]
        assert {space for (space,) in rows(ChunkVector.space)} == {"wordllama-256"}
    assert there.client.get("/readyz").get_json()["checks"]["knowledge"] == "ok"
    assert seen == [1]
    assert find(there, "library")[0]["dense_rank"] == 1
    assert find(ada, "library")[0]["dense_rank"] == 1  # the other process goes over by itself


@pytest.mark.parametrize("spoil", [
    lambda c: c.execute(sa.delete(Chunk)),
    lambda c: c.execute(sa.update(Chunk).values(version=7)),
    lambda c: c.execute(sa.delete(ChunkVector)),
])  # fmt: skip
def test_verify_finds_what_is_not_as_it_should_be(
    app: Flask, ada: Person, spoil: Callable[[sa.Connection], object]
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    with app.app_context():
        assert list(verification.verify(lambda _: None)) == []
        with write("test") as connection:
            spoil(connection)
        assert list(verification.verify(lambda _: None))


def test_counts_of_a_collection_are_what_is_in_it(app: Flask, ada: Person) -> None:
    document = send(ada, "Hours", HOURS)
    send(ada, "Bees", BEES)
    work(app)
    ada.call("PUT", f"/api/documents/{document['id']}/", {"title": "Hours", "text": HOURS * 40})
    work(app)
    (home,) = ada.call("GET", "/api/collections/").get_json()["items"]
    assert home["bytes"] == len(HOURS) * 40 + len(BEES)
    with app.app_context():
        assert (home["chunks"],) == rows(sa.func.count(Chunk.id))[0]
    ada.call("DELETE", f"/api/documents/{document['id']}/")
    (home,) = ada.call("GET", "/api/collections/").get_json()["items"]
    assert (home["bytes"], home["chunks"]) == (len(BEES), 1)
    assert UUID(home["id"])
