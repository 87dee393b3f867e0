"""pgvector's graphs, wide vectors and connections, on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest

from chatbot.rag.errors import StoreFailed
from chatbot.rag.stores import pgvector
from chatbot.rag.types import StoreOptions
from tests.rag.stores.test_stores import DIMENSION, filled, found, rows, vectors
from tests.support.waiting import wait_for


def until_graph(store: pgvector.PgvectorStore, space: str, dimension: int) -> None:
    with psycopg.connect(store.url, autocommit=True) as connection:
        wait_for(lambda: store.has_graph(connection, space, dimension))


def test_pgvector_searches_large_collections_in_a_graph(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 1_000)
    store = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    made = filled(store, 5_000)
    filled(store, 20, "small", seed=3)
    exact = [found(store, made[n], 10) for n in range(0, 5_000, 100)]  # until the graph is there, all are compared
    until_graph(store, "s", DIMENSION)
    near = [found(store, made[n], 10) for n in range(0, 5_000, 100)]
    shared = sum(len(set(one) & set(other)) for one, other in zip(exact, near, strict=True))
    assert shared >= 0.98 * 10 * len(exact)
    assert len(found(store, made[0], 300)) == 300
    with psycopg.connect(postgres_url) as connection:
        uses = connection.execute("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s", [
            pgvector.graph_name("s")
        ])  # fmt: skip
        assert uses.fetchone() is not None
    assert found(store, made[7], 3, ["d8"]) == [8]
    assert {one for one, _ in store.search("small", made[0], 50)} == set(range(1, 21))
    store.close()


@pytest.mark.parametrize("dimension", [2_100, 4_100])
def test_pgvector_takes_vectors_of_many_dimensions(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, dimension: int
) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 5)
    store = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    made = np.random.default_rng(0).normal(size=(30, dimension)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    store.open("c", "wide", 30, dimension)
    store.change("c", [], rows(range(1, 31), made))
    assert found(store, made[4], 1) == [5]
    if dimension < pgvector.MAX_HALFVEC_DIMENSIONS:
        until_graph(store, "wide", dimension)
    assert found(store, made[4], 1) == [5]
    store.close()


def test_pgvector_that_cannot_be_reached_says_so() -> None:
    store = pgvector.PgvectorStore(StoreOptions(url="postgresql+psycopg://nobody@127.0.0.1:9/none"))
    with pytest.raises(StoreFailed, match="pgvector: "):
        store.search("c", vectors(1)[0], 5)


def test_pgvector_makes_a_graph_again_that_broke_off(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 10)
    store = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    made = filled(store, 100)
    until_graph(store, "s", DIMENSION)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = pgvector.graph_name("s")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", [name])
    again = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    assert found(again, made[4], 1) == [5]
    until_graph(again, "s", DIMENSION)
    store.close()
    again.close()


def test_pgvector_makes_a_graph_where_there_is_no_room_to_share(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 10)
    store = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    made = filled(store, 500)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE pgvector_items SET (parallel_workers = 2)")  # as if it were large
        connection.execute("SET maintenance_work_mem = '1TB'")
        with pytest.raises(psycopg.errors.DiskFull):  # else this test is about nothing here
            connection.execute(
                f"CREATE INDEX ON pgvector_items USING hnsw ((embedding::vector({DIMENSION})) vector_ip_ops)"
            )
    monkeypatch.setattr(pgvector, "FOR_GRAPH", "1TB")
    until_graph(store, "s", DIMENSION)
    assert found(store, made[4], 1) == [5]
    store.close()


def test_pgvector_answers_more_searches_than_it_has_connections(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 10)
    store = pgvector.PgvectorStore(StoreOptions(url=postgres_url))
    made = filled(store, 200)
    with psycopg.connect(postgres_url, autocommit=True) as builder, ThreadPoolExecutor(24) as pool:
        builder.execute("SELECT pg_advisory_lock(%s)", [pgvector.graph_lock_id("s")])  # as if it made the graph
        assert list(pool.map(lambda n: found(store, made[n], 1), range(120))) == [[n + 1] for n in range(120)]
    store.close()
