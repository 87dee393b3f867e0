"""What every vector store must do; the adapters come from the registry."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatbot.rag import registry
from chatbot.rag.ports import VectorStore
from chatbot.rag.stores.faiss import FaissStore
from chatbot.rag.types import StoreOptions

DIMENSION = 8
NONE = np.array([], dtype=np.int64), np.empty((0, DIMENSION), dtype=np.float32)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def filled(store: VectorStore, count: int, name: str = "c", seed: int = 0) -> np.ndarray:
    made = vectors(count, seed)
    store.open(name, count, DIMENSION)
    store.change(name, NONE[0], np.arange(1, count + 1), made)
    return made


@pytest.fixture(params=registry.names("stores"))
def store(request: pytest.FixtureRequest) -> VectorStore:
    made: VectorStore = registry.load("stores", request.param)(StoreOptions())
    return made


def test_nearest_come_first_with_their_cosine(store: VectorStore) -> None:
    made = filled(store, 50)
    found = store.search("c", made[7], 5)
    assert found[0] == (8, pytest.approx(1.0, abs=1e-5))
    exact = np.sort(made @ made[7])[::-1][:5]
    assert [score for _, score in found] == pytest.approx(list(exact), abs=1e-5)


def test_only_among_the_given_ones(store: VectorStore) -> None:
    made = filled(store, 50)
    assert [one for one, _ in store.search("c", made[7], 5, ids(3, 4))] == sorted(
        (3, 4), key=lambda one: -float(made[one - 1] @ made[7])
    )
    assert store.search("c", made[7], 5, ids()) == []


def test_what_went_is_not_found_and_what_came_is(store: VectorStore) -> None:
    made, more = filled(store, 20), vectors(2, seed=1)
    store.change("c", ids(8, 9), ids(100, 101), more)
    assert store.count("c") == 20
    assert 8 not in {one for one, _ in store.search("c", made[7], 20)}
    assert store.search("c", more[1], 1)[0][0] == 101


def test_collections_do_not_know_one_another(store: VectorStore) -> None:
    filled(store, 5)
    other = filled(store, 3, "d", seed=2)
    assert {one for one, _ in store.search("d", other[0], 50)} == {1, 2, 3}
    store.forget("c")
    assert (store.count("c"), store.count("d")) == (None, 3)
    assert store.count("never") is None


def test_empty_collection_finds_nothing(store: VectorStore) -> None:
    store.open("c", 0, DIMENSION)
    assert store.search("c", vectors(1)[0], 5) == []


def test_opened_again_it_holds_nothing(store: VectorStore) -> None:
    made = filled(store, 5)
    store.open("c", 5, DIMENSION)
    assert (store.count("c"), store.search("c", made[0], 5)) == (0, [])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=40))
def test_any_changes_leave_what_a_plain_search_finds(changes: list[tuple[bool, int]]) -> None:
    stores = [registry.load("stores", name)(StoreOptions()) for name in ("faiss", "memory")]
    made, alive = vectors(30), set()
    for one in stores:
        one.open("c", 10, DIMENSION)
    for comes, number in changes:
        gone, came = (ids(), ids(number)) if comes and number not in alive else (ids(number), ids())
        alive = alive | {number} if len(came) else alive - {number}
        for one in stores:
            one.change("c", gone, came, made[came - 1])
    found = [[(one, round(score, 4)) for one, score in each.search("c", made[0], 30)] for each in stores]
    assert sorted(found[0]) == sorted(found[1])
    assert {one for one, _ in found[0]} == alive


@pytest.mark.parametrize(("exact", "way"), [(1 << 20, "exact"), (6_000, "half"), (1_000, "graph")])
def test_faiss_changes_its_way_with_the_size(exact: int, way: str) -> None:
    store = FaissStore(StoreOptions(exact_bytes=exact))
    made = filled(store, 400)
    assert store._held["c"].way == way
    hits = [store.search("c", made[n], 1)[0][0] for n in range(400)]
    assert sum(hit == n + 1 for n, hit in enumerate(hits)) >= 396
    store.change("c", ids(8), *NONE)
    assert 8 not in {one for one, _ in store.search("c", made[7], 50)}
    assert [one for one, _ in store.search("c", made[7], 3, ids(5, 8))] == [5]


def test_faiss_asks_to_be_opened_again_when_it_outgrew_its_way() -> None:
    store = FaissStore(StoreOptions(exact_bytes=1_000))
    store.open("c", 10, DIMENSION)
    store.change("c", NONE[0], np.arange(400), vectors(400))
    assert store.count("c") is None


def test_faiss_keeps_the_collections_that_were_searched_last() -> None:
    store = FaissStore(StoreOptions(most_bytes=2 * 50 * DIMENSION * 4))
    made = filled(store, 50, "a")
    filled(store, 50, "b")
    store.search("a", made[0], 1)
    filled(store, 50, "c")
    assert (store.count("a"), store.count("b"), store.count("c")) == (50, None, 50)


def test_faiss_takes_one_core_in_whatever_thread_it_searches() -> None:
    import faiss

    store, seen = FaissStore(StoreOptions()), []
    made = filled(store, 5)

    def search() -> None:
        faiss.omp_set_num_threads(2)
        store.search("c", made[0], 1)
        seen.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert seen == [1]
