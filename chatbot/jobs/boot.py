"""What a worker does before it serves."""

import gc

import structlog
from flask import Flask

from ..rag.errors import LLMError
from ..services import migrations, single_writer, upkeep, wiring
from . import start

GARBAGE = (10_000, 20, 50)  # a request makes and drops thousands of objects, and next to none in a cycle

log = structlog.get_logger(__name__)


def prepare(app: Flask) -> str:
    """Check the schema, close what a dead process left, warm up, start the jobs; returns which model answers.

    Raises WrongSchema with the command to run.
    """
    with app.app_context():
        migrations.require_current()
        if single_writer.is_needed():
            log.warning("this SQLite has the WAL-reset bug: `flask` commands that write refuse while the server runs")
            single_writer.hold()
        upkeep.close_abandoned()
        model = _warm_up()
    start(app)
    gc.collect()
    gc.freeze()  # what was imported stays; later collections need not look at it
    gc.set_threshold(*GARBAGE)
    gc.enable()
    return model


def _warm_up() -> str:
    """Import the model's adapter now: 0.5 s in the first chat would hold every stream."""
    try:
        wiring.llm()
    except LLMError as error:
        log.warning("no model", detail=error.detail)
    return wiring.describe_llm()
