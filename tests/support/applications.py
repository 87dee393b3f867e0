"""Applications of tests: their settings, and their end."""

import contextlib
from pathlib import Path
from typing import cast

from flask import Flask

import config
from chatbot import create_app
from chatbot.database.base import db
from chatbot.database.pool import FairPool
from chatbot.services.chat import execution
from chatbot.services.knowledge.state import get_knowledge_state
from tests.support.processes import environment
from tests.support.waiting import wait_for

MAX_END_SECONDS = 5.0  # in which the work that a test left running may end
MAX_CHECKED_OUT_SECONDS = 2.0  # in which its connections may come back
DEFAULTS = {
    "LLM": "memory",
    "LLM_RETRIES": "0",
    "EMBEDDER": "memory",
    "APP_ENV": "testing",
    "LOG_LEVEL": "warning",
}


def build(folder: Path, **settings: str) -> Flask:
    """Return an application with its files in a folder."""
    given = environment(folder, **{**DEFAULTS, **settings})
    return create_app(config.load(given, env_file=folder / ".env"))


def end(app: Flask) -> None:
    """End the work of an application, and close its connections."""
    with app.app_context():
        execution.drain(MAX_END_SECONDS)
        pool = cast(FairPool, db.engine.pool)
        with contextlib.suppress(AssertionError):  # a connection that comes back later is closed by nobody
            wait_for(lambda: not pool.checkedout(), MAX_CHECKED_OUT_SECONDS)
        db.engine.dispose()
        get_knowledge_state().close()
