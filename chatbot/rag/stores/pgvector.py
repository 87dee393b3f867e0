"""pgvector: vectors in PostgreSQL, one copy for all processes.

The column has no dimension, so that all spaces share a table; a large space gets a graph (HNSW) on the column cast to
its dimension. Up to 50,000 vectors a collection is compared exactly: without iterative scans a graph over all
collections gives 0.4 of 10 under a filter that keeps 1 %, and with them it is no faster there.
"""

import hashlib
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chatbot.rag.errors import StoreFailed, StoreFenced, StoreForgot
from chatbot.rag.types import Hit, StoreOptions, VectorBatch

if TYPE_CHECKING:
    from psycopg import Connection, sql

    from chatbot.rag.types import Vectors

EXACT = 50_000  # vectors of a collection that are compared one by one
BREADTH = 400  # candidates that a search in the graph keeps (hnsw.ef_search), at least
MAX_BREADTH = 1_000  # that pgvector allows
# dimensions of an index in 32-bit and in 16-bit floats
MAX_VECTOR_DIMENSIONS = 2_000
MAX_HALFVEC_DIMENSIONS = 4_000
CONNECTIONS = 8
FOR_GRAPH = "512MB"  # while one is made: some 300,000 vectors of 256 numbers; PostgreSQL's own 64 MB are some 40,000
SECONDS = 5.0  # to connect, or to wait for a connection
# libpq's: a host that is gone is noticed within some 15 seconds, not within the kernel's 15 minutes.
LIFE = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}

SCHEMA = """
CREATE TABLE IF NOT EXISTS pgvector_collections (
    name text PRIMARY KEY, space text NOT NULL, dimension integer NOT NULL, count bigint NOT NULL, fence bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS pgvector_items (
    collection text, chunk bigint, document text NOT NULL, space text NOT NULL, embedding vector NOT NULL,
    PRIMARY KEY (collection, chunk)
);
CREATE INDEX IF NOT EXISTS pgvector_items_document ON pgvector_items (collection, document);
"""
LOCK = 4_021_760_178  # any number; held while the tables are made


class PgvectorStore:
    """Cosine by inner product of vectors of length 1; exact, and in a graph where a collection is large."""

    durable = True

    def __init__(self, options: StoreOptions) -> None:
        from pgvector.psycopg import register_vector
        from psycopg_pool import ConnectionPool

        self.url = options.url.replace("postgresql+psycopg://", "postgresql://")
        timeouts = {"autocommit": True, "connect_timeout": int(SECONDS), **LIFE}
        self._pool = ConnectionPool(
            self.url, min_size=0, max_size=CONNECTIONS, open=False, timeout=SECONDS, kwargs=timeouts,
            configure=register_vector, check=ConnectionPool.check_connection,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._is_open = False
        self.graphs: set[str] = set()  # spaces whose graph is there
        self._building: set[str] = set()

    def count(self, collection: str) -> int | None:
        """Return how many vectors of a collection are held, or None when it is not known."""
        with self._connection() as connection:
            row = connection.execute("SELECT count FROM pgvector_collections WHERE name = %s", [collection]).fetchone()
        return None if row is None else int(row[0])

    def collections(self) -> list[str]:
        """Return the collections that are held."""
        with self._connection() as connection:
            return [str(row[0]) for row in connection.execute("SELECT name FROM pgvector_collections ORDER BY name")]

    def open(
        self, collection: str, space: str, count: int, dimension: int, used: Container[str] = (), fence: int = 0
    ) -> None:
        """Hold nothing of a collection (any more); raises StoreFenced."""
        with self._connection() as connection, connection.transaction():
            opened = connection.execute(
                "INSERT INTO pgvector_collections AS old VALUES (%s, %s, %s, 0, %s) ON CONFLICT (name) DO UPDATE "
                "SET space = EXCLUDED.space, dimension = EXCLUDED.dimension, count = 0, fence = EXCLUDED.fence "
                "WHERE old.fence <= EXCLUDED.fence",
                [collection, space, dimension, fence],
            )
            if opened.rowcount != 1:
                query = "SELECT fence FROM pgvector_collections WHERE name = %s"
                row = connection.execute(query, [collection]).fetchone()
                raise StoreFenced(collection, fence if row is None else row[0])
            connection.execute("DELETE FROM pgvector_items WHERE collection = %s", [collection])

    def change(self, collection: str, gone: Sequence[str], stored: VectorBatch, fence: int = 0) -> None:
        """Let all vectors of some documents go, and hold others besides; raises StoreForgot, StoreFenced."""
        with self._connection() as connection, connection.transaction():
            query = "SELECT space, fence FROM pgvector_collections WHERE name = %s FOR UPDATE"
            row = connection.execute(query, [collection]).fetchone()
            if row is None:
                raise StoreForgot(collection)
            if row[1] > fence:
                raise StoreFenced(collection, row[1])
            deleted = connection.execute(
                "DELETE FROM pgvector_items WHERE collection = %s AND (document = ANY(%s) OR chunk = ANY(%s))",
                [collection, list(gone), [int(one) for one in stored.ids]],
            ).rowcount
            with connection.cursor().copy("COPY pgvector_items FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "int8", "text", "text", "vector"])
                for one, document, vector in zip(stored.ids, stored.documents, stored.vectors, strict=False):
                    copy.write_row((collection, int(one), document, row[0], vector))
            connection.execute(
                "UPDATE pgvector_collections SET count = count + %s, fence = %s WHERE name = %s",
                [len(stored.ids) - deleted, fence, collection],
            )

    def search(self, collection: str, vector: "Vectors", k: int, documents: Sequence[str] | None = None) -> list[Hit]:
        """Return the up to k nearest chunks by cosine, the nearest first; only of `documents` where those are given.

        Raises StoreForgot for a collection that is not held.
        """
        if documents is not None and not documents:
            return []
        with self._connection() as connection:
            query = "SELECT space, dimension, count FROM pgvector_collections WHERE name = %s"
            row = connection.execute(query, [collection]).fetchone()
            if row is None:
                raise StoreForgot(collection)
            space, dimension, count = row
            if documents is None and count > EXACT and self.has_graph(connection, space, dimension):
                return _near(connection, collection, space, dimension, vector, k)
            query = (
                "SELECT chunk, -(embedding <#> %(vector)s) FROM pgvector_items WHERE collection = %(collection)s "
                "AND (%(documents)s::text[] IS NULL OR document = ANY(%(documents)s)) "
                "ORDER BY embedding <#> %(vector)s, chunk LIMIT %(k)s"
            )
            given = {"vector": vector.reshape(-1), "collection": collection, "k": k}
            listed = None if documents is None else list(documents)
            return [
                (int(one), float(score)) for one, score in connection.execute(query, {**given, "documents": listed})
            ]

    def forget(self, collection: str) -> None:
        """Let a collection go."""
        with self._connection() as connection, connection.transaction():
            connection.execute("DELETE FROM pgvector_items WHERE collection = %s", [collection])
            connection.execute("DELETE FROM pgvector_collections WHERE name = %s", [collection])

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def _connection(self) -> "Iterator[Connection[Any]]":
        from psycopg import Error
        from psycopg_pool import PoolTimeout

        try:
            self._opened()
            with self._pool.connection() as connection:
                yield connection
        except (Error, PoolTimeout) as error:
            raise StoreFailed(f"pgvector: {' '.join(str(error).split())}") from error

    def _opened(self) -> None:
        import psycopg

        with self._lock:
            if self._is_open:
                return
            with psycopg.connect(self.url, connect_timeout=int(SECONDS)) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # IF NOT EXISTS races with itself
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                connection.execute(SCHEMA)
            self._pool.open()
            self._is_open = True

    def has_graph(self, connection: "Connection[Any]", space: str, dimension: int) -> bool:
        """Return whether a space's graph is there; where not, it is begun, and until it is there all is compared."""
        if space in self.graphs:
            return True
        if dimension > MAX_HALFVEC_DIMENSIONS:
            return False
        if _is_whole(connection, space):
            self.graphs.add(space)
            return True
        if space not in self._building:
            self._building.add(space)
            threading.Thread(target=self._build, args=[space, dimension], name="pgvector graph", daemon=True).start()
        return False

    def _build(self, space: str, dimension: int) -> None:
        """Make the graph of a space beside the searches, unless another process does; drops an unfinished one."""
        import psycopg
        from psycopg import sql

        of, operators = _cast(dimension)
        name = sql.Identifier(graph_name(space))
        make = sql.SQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON pgvector_items USING hnsw ({} {}) WHERE space = {}"
        ).format(name, of, sql.SQL(operators), sql.Literal(space))
        try:
            with psycopg.connect(self.url, autocommit=True, connect_timeout=int(SECONDS)) as connection:
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", [graph_lock_id(space)]).fetchone()
                if row is not None and row[0] and not _is_whole(connection, space):
                    # In less memory than a graph takes, each further vector is looked up on the disk.
                    connection.execute(sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(FOR_GRAPH)))
                    _make_graph(connection, sql.SQL("DROP INDEX IF EXISTS {}").format(name), make)
        except psycopg.Error:  # all is compared until the next search begins it again
            pass
        finally:
            self._building.discard(space)


def _make_graph(connection: "Connection[Any]", drop: "sql.Composed", make: "sql.Composed") -> None:
    """Make a graph in place of an unfinished one; with one process where several have no room to share.

    They share FOR_GRAPH bytes in /dev/shm, which has 64 MB in a container without more.
    """
    from psycopg.errors import DiskFull

    connection.execute(drop)
    try:
        connection.execute(make)
    except DiskFull:
        connection.execute(drop)
        connection.execute("SET max_parallel_maintenance_workers = 0")
        connection.execute(make)


def _near(
    connection: "Connection[Any]", collection: str, space: str, dimension: int, vector: "Vectors", k: int
) -> list[Hit]:
    from psycopg import sql

    of, _ = _cast(dimension)
    kind = "halfvec" if dimension > MAX_VECTOR_DIMENSIONS else "vector"
    query_vector = sql.SQL("%(vector)s::{}({})").format(sql.SQL(kind), sql.Literal(dimension))
    # The space is written out: with a parameter there a plan could not use an index of that space alone.
    query = sql.SQL(
        "SELECT chunk, -({of} <#> {query_vector}) FROM pgvector_items "
        "WHERE space = {space} AND collection = %(collection)s "
        "ORDER BY {of} <#> {query_vector} LIMIT %(k)s"
    ).format(of=of, query_vector=query_vector, space=sql.Literal(space))
    breadth = min(max(BREADTH, k), MAX_BREADTH)
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(breadth)))
        connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        rows = connection.execute(query, {"vector": vector.reshape(-1), "collection": collection, "k": k})
        return [(int(one), float(score)) for one, score in rows]


def _is_whole(connection: "Connection[Any]", space: str) -> bool:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    row = connection.execute(query, [graph_name(space)]).fetchone()
    return row is not None and bool(row[0])


def _cast(dimension: int) -> "tuple[sql.Composed, str]":
    """Return the column as an index of this dimension has it, and the operators of that index."""
    from psycopg import sql

    kind = "halfvec" if dimension > MAX_VECTOR_DIMENSIONS else "vector"
    of = sql.SQL("(embedding::{}({}))").format(sql.SQL(kind), sql.Literal(dimension))
    return of, f"{kind}_ip_ops"


def graph_lock_id(space: str) -> int:
    """Return the id of the advisory lock under which the graph of a space is made."""
    return int.from_bytes(hashlib.sha256(space.encode()).digest()[:7])


def graph_name(space: str) -> str:
    """Return the name of the index of a space."""
    return f"pgvector_items_{hashlib.sha256(space.encode()).hexdigest()[:16]}"
