"""Embedders that change their dimension or fail in the middle of documents, and the vectors that are stored."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.models import Chunk, ChunkVector, Document
from chatbot.rag.embedders import memory
from chatbot.rag.errors import EmbedderError, EmbeddingsMissing, StoreFailed, TextRefused
from chatbot.services.knowledge import verification
from chatbot.services.knowledge.search import embeddings, hybrid, vector_warnings
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.operations import readiness
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import MakeApp, Person, join
from tests.support.processes import Upstream

from .test_embeddings import vectors, warnings, with_vectors

pytestmark = pytest.mark.both_databases


def test_another_dimension_in_the_middle_of_a_document_stores_none_of_its_vectors(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    real = memory.MemoryEmbedder.embed
    calls = []

    def embed(self: memory.MemoryEmbedder, texts: Sequence[str]) -> Any:
        calls.append(len(texts))
        monkeypatch.setattr(memory, "DIMENSION", 64 if len(calls) == 1 else 32)
        return real(self, texts)

    monkeypatch.setattr(embeddings, "BATCH_TEXTS", 2)
    monkeypatch.setattr(memory.MemoryEmbedder, "embed", embed)
    send(ada, "Book", "\n\n".join(f"Library number {number}. " + "More words. " * 120 for number in range(6)))
    work(app)
    assert len(calls) > 1
    assert with_vectors(app) == {"Hours"}
    assert warnings(ada) == {"Book": [vector_warnings.NO_VECTORS], "Hours": []}
    assert ada.call("POST", "/api/search/", {"query": "library"}).status_code == 200


def test_stored_vectors_of_another_dimension_are_passed_over_told_and_made_anew(app: Flask, ada: Person) -> None:
    send(ada, "Hours", HOURS)
    send(ada, "Bees", BEES)
    work(app)
    with app.app_context():
        stored = sorted(vectors())
        with write("test") as connection:
            bees = sa.select(Chunk.id).join(Document, Document.id == Chunk.document_id).where(Document.title == "Bees")
            connection.execute(sa.update(ChunkVector).where(ChunkVector.chunk_id.in_(bees)).values(vector=bytes(4)))
    assert find(ada, "waggle dance")[0]["dense_rank"] is None
    assert find(ada, "library")[0]["dense_rank"] == 1
    with app.app_context():
        assert "Bees) has 1 passages without a vector" in next(iter(verification.verify(lambda _: None)))
        embeddings.backfill_vectors()
        assert list(verification.verify(lambda _: None)) == []
        assert sorted(vectors()) == stored
    assert find(ada, "waggle dance")[0]["dense_rank"] == 1


def test_transient_failure_within_a_batch_loses_no_vector(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = memory.MemoryEmbedder.embed

    def embed(self: memory.MemoryEmbedder, texts: Sequence[str]) -> Any:
        if any("Hours" in text for text in texts):
            raise EmbedderError("busy") if len(texts) == 1 else TextRefused("refused")
        return real(self, texts)

    with monkeypatch.context() as patched:
        patched.setattr(memory.MemoryEmbedder, "embed", embed)
        send(ada, "Hours", HOURS)
        send(ada, "Bees", BEES)
        work(app)
        assert warnings(ada) == {"Bees": [vector_warnings.NO_VECTORS], "Hours": [vector_warnings.NO_VECTORS]}
    with app.app_context():
        assert get_knowledge_state().embeddings_missing.is_set()
        embeddings.backfill_vectors()
    assert with_vectors(app) == {"Hours", "Bees"}
    assert warnings(ada) == {"Bees": [], "Hours": []}


def test_backfill_tells_the_owner_of_refused_passages_until_they_have_vectors(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = memory.MemoryEmbedder.embed

    def embed(self: memory.MemoryEmbedder, texts: Sequence[str]) -> Any:
        if any("Hours" in text for text in texts):
            raise TextRefused("refused")
        return real(self, texts)

    send(ada, "Hours", HOURS)
    send(ada, "Bees", BEES)
    with app.app_context(), monkeypatch.context() as patched:
        patched.setattr(get_knowledge_state().embedder(), "fails", True)
        work(app)
    with app.app_context():
        with monkeypatch.context() as patched:
            patched.setattr(memory.MemoryEmbedder, "embed", embed)
            embeddings.backfill_vectors()
        assert warnings(ada) == {"Bees": [], "Hours": [vector_warnings.REFUSED_PASSAGES]}
        embeddings.reindex(lambda _: None)
    assert with_vectors(app) == {"Hours", "Bees"}
    assert warnings(ada) == {"Bees": [], "Hours": []}


def test_another_dimension_shows_in_readiness_and_reindex_names_the_way(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    monkeypatch.setattr(memory, "DIMENSION", 32)
    with app.app_context():
        embeddings.probe_embedder()
        embeddings.probe_embedder()
        send(ada, "Bees", BEES)
        work(app)
        assert "have 32 dimensions, and had 64 before: give" in readiness.checks()["knowledge"]
    ended = app.test_cli_runner().invoke(args=["knowledge", "reindex"])
    assert ended.exit_code == 1
    assert "EMBEDDING_MODEL" in ended.output
    assert "run it again" not in ended.output


@pytest.mark.parametrize("is_found_by", ["another process", "this process"])
def test_server_that_had_no_embeddings_once_is_taken_when_it_has(
    make_app: MakeApp, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, is_found_by: str
) -> None:
    def fail(_: Sequence[str]) -> Any:
        raise EmbeddingsMissing("no embeddings yet")

    served = {"LLM": "openai", "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-canary", "EMBEDDER": ""}
    first = make_app(**served)
    other = make_app(**served)
    with first.app_context():
        configured = get_knowledge_state().embedder()
        with monkeypatch.context() as patched:
            patched.setattr(configured, "embed", fail)
            embeddings.probe_embedder()
            assert get_knowledge_state().embedder() is not configured
            if is_found_by == "another process":
                send(join(other.test_client(), "ada"), "Hours", HOURS)
                work(other)
            else:
                embeddings.probe_embedder()
                assert get_knowledge_state().embedder() is not configured
                patched.undo()
            embeddings.probe_embedder()
        assert get_knowledge_state().embedder() is configured
        assert readiness.checks()["knowledge"] == "ok"


def test_vector_store_that_fails_shows_in_readiness_until_it_answers(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise StoreFailed("pgvector: no route to db-7.internal")

    send(ada, "Hours", HOURS)
    work(app)
    with app.app_context():
        store = get_knowledge_state().vector_index.store
        for how in (lambda: find(ada, "library"), hybrid.probe_store):
            with monkeypatch.context() as patched:
                for name in ("search", "collections"):
                    patched.setattr(store, name, fail)
                assert find(ada, "library")[0]["dense_rank"] is None
                with pytest.raises(StoreFailed):
                    hybrid.probe_store()
                assert readiness.checks()["knowledge"] == "Searched by words alone: the vector store fails."
            how()
            assert readiness.checks()["knowledge"] == "ok"
