"""100,000 passages: the time of a search, the memory of the process, and the recall of a graph of vectors."""

import random
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from flask import Flask

import config
from bench.judged import Judged
from bench.knowledge import Knowledge
from bench.streams import memory
from chatbot import create_app
from chatbot.rag.stores import pgvector
from chatbot.services.knowledge.search import embeddings
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.operations import seeding
from tests.support.processes import Server

CHUNKS = 100_000
SMALL = 1_000
QUERIES = 200
ASKED = 200  # vectors that a search asks for
STORES = {"sqlite": "FAISS", "hosts": "pgvector"}
MAX_MS = {"sqlite": 20, "hosts": 40}
MAX_MB = 400
MIN_RECALL = 0.98
MAX_GRAPH_SECONDS = 600.0  # seconds in which the graph may be made


def fill(server: Server, owner: UUID, texts: Sequence[str]) -> dict[str, UUID]:
    """Put a large and a small collection of passages into the server's database; returns their ids.

    Their words are made up, as often as words are, their vectors those of real texts: of 10 random vectors of 256
    numbers, which lie as far from each other as can be, a graph finds 3 to 5.
    """
    app: Flask = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    with app.app_context():
        vectors = np.asarray(get_knowledge_state().embedder().embed(texts), np.float32)
        return {
            name: seeding.passages(owner, name, count, lambda _: None, vectors[:count])
            for name, count in {"large": CHUNKS, "small": SMALL}.items()
        }


def passages(sets: Iterable[Judged]) -> list[str]:
    """Return as many different passages of one to three sentences from collections as are wanted, in a random order."""
    found = set[str]()
    for one in sets:
        for _, text in one.documents.values():
            parts = [part for part in text.split(". ") if part]
            found.update(". ".join(parts[n : n + size]) for n in range(len(parts)) for size in (1, 2, 3))
    chosen = sorted(found)
    random.Random(7).shuffle(chosen)
    if len(chosen) < CHUNKS:
        raise ValueError(f"the collections have {len(chosen)} passages; {CHUNKS} are needed")
    return chosen[:CHUNKS]


def scale(base: Knowledge, homes: dict[str, UUID], kind: str, questions: Sequence[str], tell: Any) -> None:
    """Search the large collection and the small one, which is one in a hundred of all passages."""
    (worker,) = base.server.workers()
    large = str(homes["large"])
    small = str(homes["small"])
    name = f"100,000 passages, {STORES[kind]}"
    started = time.monotonic()
    base.search("word1 word2", large)
    tell(f"{name}: first search, all copies made", time.monotonic() - started, "s")
    dice = random.Random(5)
    queries = [seeding.text(dice, 6) for _ in range(QUERIES)]
    if kind == "hosts":
        share, seconds = recall(base.server, homes["large"], questions)
        tell(f"{name}: graph made", seconds, "s")
        tell(f"{name}: dense recall@10 of exact", share, "", MIN_RECALL)
    times = [base.timed(query, large) for query in queries]
    tell(f"{name}: a search, p50", statistics.median(times) * 1000, "ms", MAX_MS[kind], more=False)
    tell(f"{name}: memory of the process", memory([worker]), "MB", MAX_MB, more=False)
    found = [len(base.search(query, small, limit=10)["items"]) for query in queries[:50]]
    tell(f"{name}: a collection of 1 %, results of 10 asked for", statistics.mean(found), "", 10)


def recall(server: Server, home: UUID, queries: Sequence[str]) -> tuple[float, float]:
    """Return the share of the ten nearest vectors that pgvector's graph finds, and the seconds until it was there."""
    app: Flask = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    with app.app_context():
        vectors = [embeddings.embed_query(query)[1] for query in queries]
        store = get_knowledge_state().vector_index.store
        started = time.monotonic()
        assert isinstance(store, pgvector.PgvectorStore)
        while not store.graphs and time.monotonic() - started < MAX_GRAPH_SECONDS:
            store.search(str(home), vectors[0], ASKED)
            time.sleep(0.5)
        seconds = time.monotonic() - started
        near = [store.search(str(home), vector, ASKED)[:10] for vector in vectors]
        most = pgvector.EXACT
        pgvector.EXACT = 2 * CHUNKS
        exact = [store.search(str(home), vector, 10) for vector in vectors]
        pgvector.EXACT = most
        store.close()
    pairs = zip(near, exact, strict=True)
    return statistics.mean(len({i for i, _ in one} & {i for i, _ in other}) / 10 for one, other in pairs), seconds


def prepared(folder: Path, texts: Sequence[str], **settings: str) -> tuple[Server, dict[str, UUID]]:
    """Return a server that is not started yet, its database filled for a user with a password."""
    server = Server(folder, **settings).migrate().start()
    token = server.sign_in()
    owner = UUID(server.call("GET", "/api/users/me/", token=token)[2]["id"])
    server.stop()
    return server, fill(server, owner, texts)
