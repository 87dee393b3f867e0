"""Embedders that refuse a text, change their dimension or their place, and searches meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.models import Chunk, ChunkVector, Document, EmbeddingSpace
from chatbot.rag.embedders import memory
from chatbot.rag.errors import EmbedderError, TextRefused
from chatbot.services.knowledge import verification
from chatbot.services.knowledge.ingestion import publication, worker
from chatbot.services.knowledge.search import embeddings, vector_warnings
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.operations import readiness
from tests.api.test_documents import BEES, HOURS, find, send, work
from tests.conftest import MakeApp, Person, join
from tests.support.processes import Upstream, free_port

pytestmark = pytest.mark.both_databases

FAULT = "The embedder was told to fail."


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the embedder refuse texts that say so."""
    real = memory.MemoryEmbedder.embed

    def embed(self: memory.MemoryEmbedder, texts: Sequence[str]) -> Any:
        if any("POISON" in text for text in texts):
            raise TextRefused("refused")
        return real(self, texts)

    monkeypatch.setattr(memory.MemoryEmbedder, "embed", embed)


def vectors() -> list[bytes]:
    with read() as connection:
        return list(connection.scalars(sa.select(ChunkVector.vector)))


def warnings(who: Person) -> dict[str, list[str]]:
    return {one["title"]: one["warnings"] for one in who.call("GET", "/api/documents/").get_json()["items"]}


def with_vectors(app: Flask) -> set[str]:
    statement = sa.select(Document.title).join(Chunk, Chunk.document_id == Document.id)
    with app.app_context(), read() as connection:
        return set(connection.scalars(statement.join(ChunkVector, ChunkVector.chunk_id == Chunk.id)))


@pytest.mark.usefixtures("poison")
def test_text_that_the_embedder_refuses_takes_no_other_with_it(app: Flask, ada: Person, eve: Person) -> None:
    send(eve, "Bad", "POISON in the library")
    send(ada, "Hours", HOURS)
    work(app)
    assert with_vectors(app) == {"Hours"}
    assert (warnings(eve), warnings(ada)) == ({"Bad": [vector_warnings.REFUSED_PASSAGES]}, {"Hours": []})
    assert find(eve, "library")[0]["lexical_rank"] == 1
    with app.app_context():
        embeddings.backfill_vectors()
        assert not get_knowledge_state().embeddings_missing.is_set()
        with write("test") as connection:
            connection.execute(sa.delete(ChunkVector))
        assert embeddings.reindex(lambda _: None) == 1  # and ends
    assert with_vectors(app) == {"Hours"}


@pytest.mark.parametrize("meanwhile", [lambda who: send(who, "Bees", BEES), lambda _: None], ids=["document", "query"])
def test_another_dimension_leaves_the_words(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Person], object]
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "library")[0]["dense_rank"] == 1
    monkeypatch.setattr(memory, "DIMENSION", 32)
    meanwhile(ada)
    work(app)
    answer = ada.call("POST", "/api/search/", {"query": "library"})
    assert answer.status_code == 200
    assert answer.get_json()["items"][0]["lexical_rank"] == 1
    assert answer.get_json()["notes"] == ["The embedder failed: searched by words alone."]
    assert with_vectors(app) == {"Hours"}


def test_switch_of_spaces_in_the_middle_of_a_document_mixes_no_vectors(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(memory.MemoryEmbedder):
        space = "other-64"

        def embed(self, texts: Sequence[str]) -> Any:
            return super().embed(texts)[:, ::-1].copy()

    send(ada, "Hours", HOURS)
    work(app)
    send(ada, "Bees", BEES)
    with app.app_context():
        (job,) = worker.claim()
        assert worker.parse_job(job)
        embedded = worker.embed_jobs([job])
        get_knowledge_state().embeddings_missing.clear()
        other = Other()
        ours = get_knowledge_state().embedder()
        monkeypatch.setattr(get_knowledge_state(), "embedder", lambda *name: ours if "memory" in name else other)
        with write("test") as connection:
            connection.execute(sa.update(EmbeddingSpace).values(adapter="memory"))
        embeddings.reindex(lambda _: None)
        monkeypatch.setattr(get_knowledge_state(), "embedder", lambda *_: other)
        publication.publish([job], embedded)
        worker.process_batch()
        assert find(ada, "waggle")[0]["lexical_rank"] == 1
        get_knowledge_state().embeddings_missing.set()
        embeddings.backfill_vectors()
        with read() as connection:
            spaces = connection.execute(sa.select(ChunkVector.chunk_id, ChunkVector.space)).all()
    assert sum(space == "other-64" for _, space in spaces) == 2
    assert find(ada, "waggle dance bees")[0]["dense_rank"] == 1


def test_two_reindexes_at_once_embed_each_passage_once(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        send(ada, f"{number}", f"{HOURS} {number}")
    work(app)
    with app.app_context():
        with write("test") as connection:
            connection.execute(sa.delete(ChunkVector))
        embedder = get_knowledge_state().embedder()
        real = embedder.embed
        within = []

        def embed(texts: Sequence[str]) -> Any:
            if not within:
                within.append(1)
                embeddings.reindex(lambda _: None)
            return real(texts)

        monkeypatch.setattr(embedder, "embed", embed)
        embeddings.reindex(lambda _: None)
    assert len(with_vectors(app)) == 5


def test_words_alone_find_while_the_embedder_fails_and_say_so(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ada, "Hours", HOURS)
    work(app)
    with app.app_context():
        monkeypatch.setattr(get_knowledge_state().embedder(), "fails", True)
    send(ada, "Bees", BEES)
    work(app)
    assert ada.client.get("/readyz").get_json()["checks"]["knowledge"] == f"Searched by words alone: {FAULT}"
    assert warnings(ada) == {"Bees": [vector_warnings.NO_VECTORS], "Hours": []}
    answer = ada.call("POST", "/api/search/", {"query": "waggle dance"}).get_json()
    assert (answer["items"][0]["title"], answer["items"][0]["dense_rank"]) == ("Bees", None)
    assert answer["notes"] == ["The embedder failed: searched by words alone."]
    with app.app_context():
        assert "1 passages without a vector" in next(iter(verification.verify(lambda _: None)))
        with pytest.raises(EmbedderError):
            embeddings.backfill_vectors()
        monkeypatch.setattr(get_knowledge_state().embedder(), "fails", False)
        assert find(ada, "waggle dance")[0]["dense_rank"] is None
        embeddings.backfill_vectors()
        assert list(verification.verify(lambda _: None)) == []
        assert not get_knowledge_state().embeddings_missing.is_set()
    assert ada.client.get("/readyz").get_json()["checks"]["knowledge"] == "ok"
    assert warnings(ada) == {"Bees": [], "Hours": []}
    assert find(ada, "waggle dance")[0]["dense_rank"] == 1


@pytest.fixture(scope="module")
def chat_only() -> Iterator[Upstream]:
    """Run an upstream without embeddings."""
    server = Upstream("--chat-only")
    yield server
    server.stop()


def test_embedded_embedder_stands_in_where_the_models_server_has_no_embeddings(
    make_app: MakeApp, chat_only: Upstream
) -> None:
    served = {"LLM": "openai", "OPENAI_BASE_URL": chat_only.url, "OPENAI_API_KEY": "sk-canary", "EMBEDDER": ""}
    app = make_app(**served)
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    assert find(ada, "when is the library open")[0]["dense_rank"] == 1
    assert warnings(ada) == {"Hours": []}
    later = make_app(**served)
    with later.app_context():
        embeddings.probe_embedder()
        assert embeddings.find_outdated_space() is None
        assert readiness.checks()["knowledge"] == "ok"


def test_vectors_of_the_models_server_are_kept_while_it_has_no_embeddings(
    make_app: MakeApp, upstream: Upstream, chat_only: Upstream
) -> None:
    served = {"LLM": "openai", "OPENAI_API_KEY": "sk-canary", "EMBEDDER": ""}
    app = make_app(OPENAI_BASE_URL=upstream.url, **served)
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    later = make_app(OPENAI_BASE_URL=chat_only.url, **served)
    with app.app_context():
        stored = vectors()
    with later.app_context():
        embeddings.probe_embedder()
        assert readiness.checks()["knowledge"].startswith("Searched by words alone: The embedding server has no ")
        embeddings.reindex(lambda _: None)
        assert (vectors(), embeddings.find_outdated_space()) == (stored, None)


def test_embedded_embedder_stands_in_again_while_the_models_server_is_away(
    make_app: MakeApp, chat_only: Upstream
) -> None:
    served = {"LLM": "openai", "OPENAI_API_KEY": "sk-canary", "EMBEDDER": ""}
    app = make_app(OPENAI_BASE_URL=chat_only.url, **served)
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", HOURS)
    work(app)
    later = make_app(OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}/v1", **served)
    with later.app_context():
        embeddings.probe_embedder()
        assert readiness.checks()["knowledge"] == "ok"
        assert get_knowledge_state().embedder().space == embeddings.get_active_embedder().space
    there = Person(later.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    assert find(there, "when is the library open")[0]["dense_rank"] == 1


@pytest.mark.parametrize("chosen", [{"EMBEDDER": "openai"}, {"EMBEDDER": "", "EMBEDDING_MODEL": "other"}])
def test_chosen_embedder_without_embeddings_shows_in_readiness_from_the_start(
    make_app: MakeApp, chat_only: Upstream, chosen: dict[str, str]
) -> None:
    app = make_app(OPENAI_BASE_URL=chat_only.url, OPENAI_API_KEY="sk-canary", **chosen)
    with app.app_context():
        embeddings.probe_embedder()
        fault = readiness.checks()["knowledge"]
    assert fault.startswith("Searched by words alone: The embedding server has no embeddings of ")


def test_what_a_process_that_is_gone_left_without_vectors_gets_them(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    with app.app_context():
        monkeypatch.setattr(get_knowledge_state().embedder(), "fails", True)
    send(ada, "Hours", HOURS)
    work(app)
    other = make_app()
    there = Person(other.test_client(), ada.name, ada.id, ada.access_token, ada.refresh_token)
    assert find(there, "library")[0]["dense_rank"] is None
    with other.app_context():
        embeddings.backfill_vectors()
        stored = vectors()
        embeddings.backfill_vectors()
        assert vectors() == stored
    assert find(there, "library")[0]["dense_rank"] == 1


def test_vectors_of_a_reindex_are_those_of_a_document_that_comes(make_app: MakeApp) -> None:
    app = make_app()
    ada = join(app.test_client(), "ada")
    send(ada, "Hours", "# Opening\n\n" + HOURS)
    work(app)
    with app.app_context():
        came = vectors()
        with write("test") as connection:
            connection.execute(sa.delete(ChunkVector))
        assert embeddings.reindex(lambda _: None) == 1
        assert vectors() == came
