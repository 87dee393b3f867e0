"""100,000 passages: how fast a search is, and what the process takes in memory."""

import itertools
import random
import statistics
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from flask import Flask

import config
from bench.knowledge import Knowledge
from bench.streams import memory
from chatbot import create_app
from chatbot.models import Chunk, ChunkVector, Collection, Document, EmbeddingSpace
from chatbot.models.columns import uuid7
from chatbot.services import storage
from chatbot.services.transactions import write
from tests.processes import Server

CHUNKS, SMALL = 100_000, 1_000
DIMENSION, SPACE = 256, "wordllama-256"
PER_DOCUMENT, WORDS, BATCH = 50, 60, 5_000
VOCABULARY = 50_000
COMMON = list(itertools.accumulate(1 / (rank + 50) for rank in range(VOCABULARY)))
QUERIES = 200
MOST_MS, MOST_MB = 20, 400


def fill(server: Server, owner: UUID) -> dict[str, UUID]:
    """Put a large and a small collection of random passages into the server's database; returns their ids."""
    app: Flask = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    with app.app_context():
        with write("bench") as connection:
            values = {
                "name": SPACE,
                "adapter": "wordllama",
                "model": "text-embedding-3-small",
                "dimension": DIMENSION,
                "active": True,
            }
            connection.execute(sa.insert(EmbeddingSpace).values(**values))
        return {name: _collection(owner, name, count) for name, count in (("large", CHUNKS), ("small", SMALL))}


def scale(base: Knowledge, homes: dict[str, UUID], tell: Any) -> None:
    """Search the large collection and the small one, which is one in a hundred of all passages."""
    (worker,) = base.server.workers()
    large, small = str(homes["large"]), str(homes["small"])
    started = time.monotonic()
    base.search("word1 word2", large)
    tell("100,000 passages: first search, all copies made", time.monotonic() - started, "s")
    dice = random.Random(5)
    queries = [_text(dice, 6) for _ in range(QUERIES)]
    seconds = [base.timed(query, large) for query in queries]
    tell("100,000 passages: a search, p50", statistics.median(seconds) * 1000, "ms", MOST_MS, more=False)
    tell("100,000 passages: memory of the process", memory(worker), "MB", MOST_MB, more=False)
    found = [len(base.search(query, small, limit=10)["items"]) for query in queries[:50]]
    tell("a collection of 1 %: results of 10 asked for", statistics.mean(found), "", 10)


def _collection(owner: UUID, name: str, count: int) -> UUID:
    home, dice = uuid7(), random.Random(count)
    numbers = np.random.default_rng(count)
    with write("bench") as connection:
        connection.execute(sa.insert(Collection).values(id=home, owner_id=owner, name=name))
    for start in range(0, count, BATCH):
        with write("bench") as connection:
            size = min(BATCH, count - start)
            documents = [uuid7() for _ in range(size // PER_DOCUMENT)]
            connection.execute(
                sa.insert(Document), [_document(home, one, f"D{start} {n}") for n, one in enumerate(documents)]
            )
            rows = [_chunk(home, documents[n // PER_DOCUMENT], n % PER_DOCUMENT, dice) for n in range(size)]
            ids = connection.scalars(sa.insert(Chunk).returning(Chunk.id, sort_by_parameter_order=True), rows).all()
            vectors = numbers.normal(size=(size, DIMENSION)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            values = [
                {"chunk_id": one, "space": SPACE, "vector": v.tobytes()} for one, v in zip(ids, vectors, strict=True)
            ]
            connection.execute(sa.insert(ChunkVector), values)
            storage.announce(connection, home, {documents[0]: size})
    return home


def _document(home: UUID, identity: UUID, title: str) -> dict[str, Any]:
    facts = {
        "id": identity,
        "collection_id": home,
        "title": title,
        "media_type": "text/plain",
        "bytes": 1,
        "metadata": {},
    }
    return facts | {"version": 1, "status": "ready", "chunks": PER_DOCUMENT, "progress": 1.0}


def _chunk(home: UUID, document: UUID, position: int, dice: random.Random) -> dict[str, Any]:
    text = _text(dice, WORDS)
    place = {"version": 1, "position": position, "start": 0, "end": len(text), "page": None}
    return {"collection_id": home, "document_id": document, "headings": "", "language": "en", "text": text} | place


def _text(dice: random.Random, words: int) -> str:
    """Return words as common as those of a text without its stop words (Zipf-Mandelbrot, shift 50)."""
    return " ".join(f"word{rank}" for rank in dice.choices(range(VOCABULARY), cum_weights=COMMON, k=words))


def prepared(folder: Path, **settings: str) -> tuple[Server, dict[str, UUID]]:
    """Return a server that is not started yet, its database filled for a user who can sign in."""
    server = Server(folder, **settings).migrate().start()
    token = server.sign_in()
    owner = UUID(server.call("GET", "/api/users/me/", token=token)[2]["id"])
    server.stop()
    return server, fill(server, owner)
