"""The start of a worker, before it serves."""

import gc
import time

import structlog
from flask import Flask, current_app

from chatbot import adapters
from chatbot.cluster import get_cluster
from chatbot.database import integrity, schema_version
from chatbot.database.sqlite import server_lock
from chatbot.database.state import get_database_state
from chatbot.errors import CannotServe, ChatbotError, DatabaseBusy, DatabaseDamaged, DatabaseUnavailable, StorageFull
from chatbot.jobs import start
from chatbot.rag.errors import AdapterError
from chatbot.services.chat import maintenance
from chatbot.services.chat.state import get_chat_state
from chatbot.services.operations import clock

GARBAGE = (10_000, 20, 50)  # a request makes and drops thousands of objects, and next to none in a cycle
MAX_CLOCK_OFFSET_SECONDS = 5.0  # between a host and the database; a turn's lease lasts three times as long
DATABASE_RETRY_SECONDS = 0.5  # seconds until the next look whether the database is back

log = structlog.get_logger(__name__)


def prepare(app: Flask, *, wait_for_database: bool = False) -> None:
    """Check the schema, close abandoned turns, warm up, start the jobs.

    Raises CannotServe with what to do. With `wait_for_database` a database that is away is waited for instead: so a
    worker of a running service comes back.
    """
    with app.app_context():
        require_services(wait_for_database=wait_for_database)
        database = get_database_state()
        if server_lock.is_needed():
            log.warning("this SQLite has the WAL-reset bug: `flask` commands that write refuse while the server runs")
            database.server_lock = server_lock.hold()
        database.file_check.begin()
        database.checkpointer.begin()
        _close_abandoned()
        _warm_up()
    start(app)
    gc.collect()
    gc.freeze()  # what was imported stays; later collections need not look at it
    gc.set_threshold(*GARBAGE)
    gc.enable()


def describe_models(app: Flask) -> list[str]:
    """Return a line for the model and each fallback, with the fault of a server that does not answer now."""
    with app.app_context():
        try:
            llm = get_chat_state().llm()
            described = adapters.describe_models(app.config)
        except AdapterError as error:
            return [error.detail]
        maintenance.probe_models()
        return [
            text if fault is None else f"{text} - {fault.detail}"
            for text, fault in zip(described, llm.faults(), strict=True)
        ]


def require_services(*, wait_for_database: bool) -> None:
    """Raise CannotServe with the reason why this process cannot serve, or wait for a database that is away."""
    while (missing := _missing()) is not None:
        if not wait_for_database or missing.detail.endswith(integrity.DAMAGED):
            raise missing
        log.warning("waiting for the database", detail=missing.detail)
        time.sleep(DATABASE_RETRY_SECONDS)
    cluster = get_cluster(current_app)
    if cluster is not None and not wait_for_database:  # a running service goes on without Redis, and so do its workers
        cluster.require()


def _missing() -> CannotServe | None:
    """Return the fault of the database, or None."""
    try:
        schema_version.require_current()
        return _wrong_clock()
    except CannotServe as error:  # a newer version migrates already, and its workers come soon
        return error
    except DatabaseDamaged:
        return CannotServe(f"DATABASE_URL: {integrity.DAMAGED}")
    except (DatabaseUnavailable, DatabaseBusy, StorageFull) as error:
        return CannotServe(f"DATABASE_URL: {_reason(error)}")


def _wrong_clock() -> CannotServe | None:
    ahead = clock.ahead_of_the_database().total_seconds()
    if abs(ahead) <= MAX_CLOCK_OFFSET_SECONDS:
        return None
    return CannotServe(
        f"DATABASE_URL: The clock of this host is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the "
        "database's: set both (NTP). A turn whose process says nothing for 15 s is given up, by these clocks."
    )


def _close_abandoned() -> None:
    try:
        maintenance.close_abandoned()
    except ChatbotError as error:  # the loop that does it every few seconds will, when the database takes it
        log.warning("turns not closed yet", detail=error.detail)


def _reason(error: ChatbotError) -> str:
    """Return the driver's message, in one line without its link to a manual."""
    cause = str(getattr(error.__cause__, "orig", None) or error.detail)
    what = "The database cannot be reached" if isinstance(error, DatabaseUnavailable) else "The database cannot be used"
    return f"{what}: {' '.join(cause.split())}"


def _warm_up() -> None:
    """Import the model's adapter now: 0.5 s in the first chat would hold every stream."""
    try:
        get_chat_state().llm()
    except AdapterError as error:
        log.warning("no model", detail=error.detail)
