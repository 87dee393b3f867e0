"""100,000 passages: how fast a search is, and what the process takes in memory."""

import random
import statistics
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask

import config
from bench.knowledge import Knowledge
from bench.streams import memory
from chatbot import create_app
from chatbot.services import seeding
from tests.processes import Server

CHUNKS, SMALL = 100_000, 1_000
QUERIES = 200
MOST_MS, MOST_MB = 20, 400


def fill(server: Server, owner: UUID) -> dict[str, UUID]:
    """Put a large and a small collection of random passages into the server's database; returns their ids."""
    app: Flask = create_app(config.load(server.environment, env_file=server.folder / ".env"))
    sizes = {"large": CHUNKS, "small": SMALL}
    with app.app_context():
        return {name: seeding.passages(owner, name, count, lambda _: None) for name, count in sizes.items()}


def scale(base: Knowledge, homes: dict[str, UUID], tell: Any) -> None:
    """Search the large collection and the small one, which is one in a hundred of all passages."""
    (worker,) = base.server.workers()
    large, small = str(homes["large"]), str(homes["small"])
    started = time.monotonic()
    base.search("word1 word2", large)
    tell("100,000 passages: first search, all copies made", time.monotonic() - started, "s")
    dice = random.Random(5)
    queries = [seeding.text(dice, 6) for _ in range(QUERIES)]
    seconds = [base.timed(query, large) for query in queries]
    tell("100,000 passages: a search, p50", statistics.median(seconds) * 1000, "ms", MOST_MS, more=False)
    tell("100,000 passages: memory of the process", memory([worker]), "MB", MOST_MB, more=False)
    found = [len(base.search(query, small, limit=10)["items"]) for query in queries[:50]]
    tell("a collection of 1 %: results of 10 asked for", statistics.mean(found), "", 10)


def prepared(folder: Path, **settings: str) -> tuple[Server, dict[str, UUID]]:
    """Return a server that is not started yet, its database filled for a user who can sign in."""
    server = Server(folder, **settings).migrate().start()
    token = server.sign_in()
    owner = UUID(server.call("GET", "/api/users/me/", token=token)[2]["id"])
    server.stop()
    return server, fill(server, owner)
