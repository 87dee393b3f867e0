"""Keeps this process's turns, and closes turns that nobody keeps.

A loop on steady time: APScheduler waits by the wall clock, and one that is set back would cost turns their leases.
"""

import threading
import time
from collections.abc import Callable

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ChatbotError
from ..services import upkeep

EVERY_LEASE = 5.0  # seconds; a third of a turn's lease
EVERY_LOOK = 1.0  # seconds between two looks for turns that were cancelled through another process

log = structlog.get_logger(__name__)


def start(app: Flask) -> None:
    """Start the loop; it ends with its process."""
    work: list[tuple[float, Callable[[], object]]] = [
        (EVERY_LEASE, upkeep.keep_leases),
        (EVERY_LOOK, upkeep.obey_cancels),
    ]
    if app.config["TURN_FLUSH_SECONDS"]:
        work.append((app.config["TURN_FLUSH_SECONDS"], upkeep.save_texts))
    for seconds, do in work:
        threading.Thread(target=_loop, args=(app, seconds, do), name=do.__name__, daemon=True).start()


def _loop(app: Flask, seconds: float, do: Callable[[], object]) -> None:
    while True:
        time.sleep(seconds)
        run(app, do)


def run(app: Flask, do: Callable[[], object]) -> None:
    """Do one piece of work; a database that does not take it now may take it next time."""
    with app.app_context():
        try:
            do()
        except (ChatbotError, SQLAlchemyError) as error:
            log.warning("upkeep failed", work=do.__name__, error=type(error).__name__, detail=str(error))
