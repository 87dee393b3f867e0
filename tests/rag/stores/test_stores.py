"""The contract of every vector store; the adapters come from the registry."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.rag import registry
from chatbot.rag.errors import StoreFenced, StoreForgot
from chatbot.rag.ports import VectorStore
from chatbot.rag.stores.faiss import FaissStore
from chatbot.rag.types import StoreOptions, VectorBatch
from tests.support.pinecone_server import KEY, pinecone_server

DIMENSION = 8


def vectors(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def rows(numbers: Iterable[int], made: np.ndarray, documents: Iterable[str] | None = None) -> VectorBatch:
    """Chunks by their numbers, each in a document of its own unless others are named."""
    ids = np.array(list(numbers), dtype=np.int64)
    return VectorBatch(ids, list(documents or (f"d{number}" for number in ids)), made)


NONE = rows([], np.empty((0, DIMENSION), dtype=np.float32))


def filled(store: VectorStore, count: int, name: str = "c", seed: int = 0) -> np.ndarray:
    made = vectors(count, seed)
    store.open(name, "s", count, DIMENSION)
    store.change(name, [], rows(range(1, count + 1), made))
    return made


@contextmanager
def making(name: str, request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    """Make an adapter, with the server that it needs."""
    with ExitStack() as around:
        options = StoreOptions()
        if name == "pgvector":
            options = StoreOptions(url=request.getfixturevalue("postgres_url"))
        elif name == "pinecone":
            options = StoreOptions(url=around.enter_context(pinecone_server(DIMENSION)).url, key=KEY)
        made: VectorStore = registry.load("stores", name)(options)
        yield made
        if made.durable:
            made.close()  # type: ignore[attr-defined]  # its database is dropped


@pytest.fixture(params=registry.names("stores"))
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    with making(request.param, request) as made:
        yield made


@pytest.fixture(params=["pgvector", "pinecone"])
def durable(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    with making(request.param, request) as made:
        assert made.durable
        yield made


def found(store: VectorStore, vector: np.ndarray, k: int, documents: list[str] | None = None) -> list[int]:
    return [one for one, _ in store.search("c", vector, k, documents)]


def test_nearest_come_first_with_their_cosine(store: VectorStore) -> None:
    made = filled(store, 50)
    hits = store.search("c", made[7], 5)
    assert hits[0] == (8, pytest.approx(1.0, abs=1e-5))
    exact = np.sort(made @ made[7])[::-1][:5]
    assert [score for _, score in hits] == pytest.approx(list(exact), abs=1e-5)


def test_only_of_the_given_documents(store: VectorStore) -> None:
    made = filled(store, 50)
    assert found(store, made[7], 5, ["d3", "d4"]) == sorted((3, 4), key=lambda one: -float(made[one - 1] @ made[7]))
    assert found(store, made[7], 5, ["never", "d8"]) == [8]
    assert found(store, made[7], 5, []) == []


def test_what_went_is_not_found_and_what_came_is(store: VectorStore) -> None:
    made = filled(store, 20)
    more = vectors(2, seed=1)
    store.change("c", ["d8", "d9", "never"], rows([100, 101], more, ["d8", "d8"]))
    assert store.count("c") == 20
    assert 8 not in found(store, made[7], 20)
    assert found(store, more[1], 1) == [101]
    assert set(found(store, more[1], 5, ["d8"])) == {100, 101}
    store.change("c", ["d8"], NONE)
    assert store.count("c") == 18


def test_what_is_changed_twice_is_as_once(store: VectorStore) -> None:
    made = filled(store, 20)
    for _ in range(2):
        store.change("c", ["d3"], rows([3, 33], made[:2], ["d3", "d3"]))
    assert store.count("c") == 21
    assert sorted(found(store, made[0], 50)) == [*range(1, 21), 33]


def test_collections_do_not_know_one_another(store: VectorStore) -> None:
    filled(store, 5)
    other = filled(store, 3, "d", seed=2)
    assert {one for one, _ in store.search("d", other[0], 50)} == {1, 2, 3}
    assert sorted(store.collections()) == ["c", "d"]
    store.change("d", ["d1"], NONE)
    assert (store.count("c"), store.count("d")) == (5, 2)
    store.forget("c")
    assert (store.count("c"), store.count("d")) == (None, 2)
    assert store.count("never") is None
    assert store.collections() == ["d"]


def test_empty_collection_finds_nothing(store: VectorStore) -> None:
    store.open("c", "s", 0, DIMENSION)
    assert (store.count("c"), found(store, vectors(1)[0], 5)) == (0, [])


def test_opened_again_it_holds_nothing(store: VectorStore) -> None:
    made = filled(store, 5)
    store.open("c", "s", 5, DIMENSION)
    assert (store.count("c"), found(store, made[0], 5)) == (0, [])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=40))
def test_any_changes_leave_what_a_plain_search_finds(changes: list[tuple[bool, int]]) -> None:
    stores = [registry.load("stores", name)(StoreOptions()) for name in ("faiss", "memory")]
    made = vectors(30)
    alive = set()
    for one in stores:
        one.open("c", "s", 10, DIMENSION)
    for wanted, number in changes:
        comes = wanted and number not in alive
        alive = alive | {number} if comes else alive - {number}
        for one in stores:
            one.change("c", [] if comes else [f"d{number}"], rows([number], made[[number - 1]]) if comes else NONE)
    hits = [[(one, round(score, 4)) for one, score in each.search("c", made[0], 30)] for each in stores]
    assert sorted(hits[0]) == sorted(hits[1])
    assert {one for one, _ in hits[0]} == alive


@pytest.mark.parametrize(("exact", "way"), [(1 << 20, "exact"), (6_000, "half"), (1_000, "graph")])
def test_faiss_changes_its_way_with_the_size(exact: int, way: str) -> None:
    store = FaissStore(StoreOptions(exact_bytes=exact))
    made = filled(store, 400)
    assert store.held["c"].way == way
    hits = [found(store, made[n], 1)[0] for n in range(400)]
    assert sum(hit == n + 1 for n, hit in enumerate(hits)) >= 396
    store.change("c", ["d8"], NONE)
    assert 8 not in found(store, made[7], 50)
    assert found(store, made[7], 3, ["d5", "d8"]) == [5]


def test_faiss_asks_to_be_opened_again_when_it_outgrew_its_way() -> None:
    store = FaissStore(StoreOptions(exact_bytes=1_000))
    store.open("c", "s", 10, DIMENSION)
    store.change("c", [], rows(range(400), vectors(400)))
    assert store.count("c") is None


def test_faiss_keeps_the_collections_that_were_searched_last() -> None:
    store = FaissStore(StoreOptions(max_bytes=2 * 50 * DIMENSION * 4))
    made = filled(store, 50, "a")
    filled(store, 50, "b")
    store.search("a", made[0], 1)
    filled(store, 50, "c")
    assert (store.count("a"), store.count("b"), store.count("c")) == (50, None, 50)


def test_faiss_takes_one_core_in_whatever_thread_it_searches() -> None:
    import faiss

    store = FaissStore(StoreOptions())
    seen = []
    made = filled(store, 5)

    def search() -> None:
        faiss.omp_set_num_threads(2)
        store.search("c", made[0], 1)
        seen.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert seen == [1]


def test_durable_stores_say_when_they_do_not_know_a_collection(durable: VectorStore) -> None:
    for do in (lambda: durable.search("c", vectors(1)[0], 5), lambda: durable.change("c", [], NONE)):
        with pytest.raises(StoreForgot):
            do()


def test_durable_stores_refuse_who_was_overtaken(durable: VectorStore) -> None:
    store = durable
    made = vectors(3)
    store.open("c", "s", 3, DIMENSION, fence=2)
    store.change("c", [], rows([1, 2], made[:2]), fence=2)
    for late in (
        lambda: store.open("c", "s", 3, DIMENSION, fence=1),
        lambda: store.change("c", ["d1"], NONE, fence=1),
    ):
        with pytest.raises(StoreFenced):
            late()
    assert sorted(found(store, made[0], 5)) == [1, 2]
    store.change("c", [], rows([3], made[2:]), fence=3)
    assert store.count("c") == 3


def test_faiss_graph_that_is_given_again_what_it_let_go_asks_to_be_opened_again() -> None:
    store = FaissStore(StoreOptions(exact_bytes=1_000))
    made = filled(store, 400)
    assert store.held["c"].way == "graph"
    store.change("c", ["d5"], rows([5], made[[4]]))
    assert store.count("c") is None
