"""Applications of a benchmark's own process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from tests.support import applications
from tests.support.processes import Server

SQLITE = "sqlite:///chatbot.db"


@contextlib.contextmanager
def application(folder: Path, **settings: str) -> Iterator[Flask]:
    """Give an application with a migrated database, on SQLite unless the settings name another."""
    settings = {"DATABASE_URL": SQLITE, **settings}
    Server(folder, **settings).migrate()
    app = applications.build(folder, RATELIMIT_ENABLED="false", **settings)
    try:
        yield app
    finally:
        applications.end(app)
