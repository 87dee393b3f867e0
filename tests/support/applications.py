"""Applications of tests: their settings, and their end."""

from pathlib import Path

from flask import Flask

import config
from chatbot import create_app
from chatbot.database.base import db
from chatbot.services.chat import execution
from chatbot.services.knowledge.state import get_knowledge_state
from tests.support.processes import environment

MAX_END_SECONDS = 5.0  # in which the work that a test left running may end
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
        db.engine.dispose()
        get_knowledge_state().close()
