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
    failure = ""
    while True:
        time.sleep(seconds)
        failure = run(app, task, failure)


def run(app: Flask, task: Callable[[], object], last_failure: str = "") -> str:
    """Do one piece of work; a database that does not take it now may take it next time.

    Returns its failure, or an empty text. That of the last time is not logged again.
    """
    with app.app_context():
        try:
            task()
        except (ChatbotError, AdapterError, SQLAlchemyError) as error:
            if (failure := repr(error)) != last_failure:
                log.warning("upkeep failed", work=task.__name__, error=type(error).__name__, detail=str(error))
            return failure
        except Exception as error:  # a fault of ours must not be the last time
            if (failure := repr(error)) != last_failure:
                log.error("upkeep broke off", work=task.__name__, exc_info=error)
            return failure
    return ""
