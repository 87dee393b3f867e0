"""Pinecone's adapter against a scripted Pinecone: the delays and faults of a remote service."""

from collections.abc import Iterator

import numpy as np
import pytest

from chatbot.rag.errors import StoreFailed, StoreForgot
from chatbot.rag.stores import pinecone
from chatbot.rag.stores.pinecone import PineconeStore
from chatbot.rag.types import StoreOptions, VectorBatch
from tests.rag.loaders.web import quickest
from tests.rag.stores.test_stores import DIMENSION, filled, found, rows, vectors
from tests.support.pinecone_server import KEY, PineconeServer, pinecone_server
from tests.support.waiting import wait_for


@pytest.fixture
def server() -> Iterator[PineconeServer]:
    with pinecone_server(DIMENSION) as made:
        yield made


@pytest.fixture
def store(server: PineconeServer) -> Iterator[PineconeStore]:
    made = PineconeStore(StoreOptions(url=server.url, key=KEY))
    yield made
    made.close()


def test_what_this_process_wrote_is_known_before_it_can_be_read(server: PineconeServer, store: PineconeStore) -> None:
    server.lag = 0.5
    made = filled(store, 20)
    assert found(store, made[4], 1) == []
    store.change("c", ["d3"], rows([30], made[:1]))
    wait_for(lambda: 3 not in found(store, made[2], 30) and found(store, made[4], 1) == [5])


def test_index_that_was_emptied_is_known_to_be(
    server: PineconeServer, store: PineconeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = filled(store, 5)
    monkeypatch.setattr(pinecone, "LAG", 0.0)
    server.flush()
    with pytest.raises(StoreForgot):
        store.search("c", made[0], 5)


def test_index_of_another_dimension_is_a_clear_sentence(store: PineconeStore) -> None:
    with pytest.raises(StoreFailed, match="the index has 8 dimensions and the embedder 9"):
        store.open("c", "s", 5, 9)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"vectors": 1e999}', b'{"vectors": {"c": []}}', b"[]", b"\xff"])
def test_malformed_answer_is_a_failure_of_the_store(server: PineconeServer, store: PineconeStore, body: bytes) -> None:
    made = filled(store, 5)
    server.malformed = body
    with pytest.raises(StoreFailed):
        store.search("c", made[0], 5)
    with pytest.raises(StoreFailed):
        store.count("c")


def test_many_documents_are_asked_for_in_several_calls(
    server: PineconeServer, store: PineconeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinecone, "MAX_VALUES", 10)
    made = filled(store, 50)
    server.calls.clear()
    among = [f"d{number}" for number in range(1, 36)]
    exact = [one for one in np.argsort(-(made @ made[7])) + 1 if one <= 35][:7]
    assert found(store, made[7], 7, among) == exact
    assert server.calls == ["/query"] * 4
    store.change("c", among, rows([], np.empty((0, DIMENSION), dtype=np.float32)))
    assert sorted(found(store, made[7], 50)) == list(range(36, 51))


def test_wide_vectors_are_sent_in_pieces_that_the_service_takes() -> None:
    made = np.random.default_rng(0).normal(size=(500, 1_536)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    with pinecone_server(1_536) as server:
        store = PineconeStore(StoreOptions(url=server.url, key=KEY))
        store.open("c", "s", 500, 1_536)
        store.change("c", [], VectorBatch(np.arange(500), ["d"] * 500, made))
        assert store.count("c") == 500
        assert found(store, made[4], 1) == [4]
        store.close()


@pytest.mark.parametrize("fault", [400, 401, 403, 429, 500, 503])
def test_service_that_refuses_is_one_failure(server: PineconeServer, store: PineconeStore, fault: int) -> None:
    made = filled(store, 5)
    server.fault = fault
    for do in (
        lambda: store.search("c", made[0], 5),
        lambda: store.change("c", ["d1"], rows([], np.empty((0, DIMENSION), dtype=np.float32))),
        lambda: store.forget("c"),
        lambda: store.collections(),
    ):
        with pytest.raises(StoreFailed, match="pinecone: "):
            do()
    server.fault = 0
    assert found(store, made[0], 1) == [1]


def test_service_that_does_not_answer_is_given_up(
    server: PineconeServer, store: PineconeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = filled(store, 5)
    monkeypatch.setattr(pinecone, "SEARCH_SECONDS", 0.2)
    server.pause = 2.0

    def ask() -> None:
        with pytest.raises(StoreFailed, match="no answer"):
            store.search("c", made[0], 5)

    assert quickest(ask, 1.0) < 1.0


def test_wrong_key_and_wrong_host_are_failures(server: PineconeServer) -> None:
    store = PineconeStore(StoreOptions(url=server.url, key="another"))
    with pytest.raises(StoreFailed, match="Invalid API Key"):
        store.search("c", vectors(1)[0], 5)
    store.close()
    with pytest.raises(StoreFailed, match="pinecone: "):
        PineconeStore(StoreOptions(url="nothing", key=KEY))
