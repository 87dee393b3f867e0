"""Work that is done again and again while a process lives, on steady time."""

import threading
import time
from collections.abc import Callable

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from chatbot.errors import ChatbotError
from chatbot.rag.errors import AdapterError

log = structlog.get_logger(__name__)


def every(app: Flask, seconds: float, task: Callable[[], object]) -> None:
    """Do a piece of work again and again, on steady time, until the process ends."""
    threading.Thread(target=_loop, args=(app, seconds, task), name=task.__name__, daemon=True).start()


def _loop(app: Flask, seconds: float, task: Callable[[], object]) -> None:
    while True:
        time.sleep(seconds)
        run(app, task)


def run(app: Flask, task: Callable[[], object]) -> None:
    """Do one piece of work; a database that does not take it now may take it next time."""
    with app.app_context():
        try:
            task()
        except (ChatbotError, AdapterError, SQLAlchemyError) as error:
            log.warning("upkeep failed", work=task.__name__, error=type(error).__name__, detail=str(error))
        except Exception as error:  # a fault of ours must not be the last time
            log.error("upkeep broke off", work=task.__name__, exc_info=error)
