"""The end of a worker: no new turns, the running ones go on, and the rest is closed as interrupted.

gunicorn's gevent worker would stop accepting at once at SIGTERM, so that no client could ask whether it is ready,
resume or read; and when its grace runs out, no `finally` of a stream is reached.
"""

import os
import signal
from typing import Any

import gevent
import structlog

from chatbot import sockets
from chatbot.database.state import get_database_state
from chatbot.services.chat import execution

MARGIN = 10.0  # seconds of the grace that are left for closing what still runs
LAST_WORDS = 0.2  # seconds in which readers get their last event

log = structlog.get_logger(__name__)


def prepare(worker: Any) -> None:
    """Let SIGTERM drain this worker, and SIGINT and SIGQUIT (Ctrl-C) end it at once."""
    signal.signal(signal.SIGTERM, lambda *_: gevent.spawn(_drain, worker))
    for quick in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(quick, lambda *_: gevent.spawn(_quit, worker))


def _drain(worker: Any) -> None:
    log.info("draining")
    with worker.wsgi.app_context():
        sockets.drain()
        execution.drain(max(0.0, worker.cfg.graceful_timeout - MARGIN))
        get_database_state().file_check.end()
    worker.alive = False


def _quit(worker: Any) -> None:
    with worker.wsgi.app_context():
        sockets.drain()
        execution.drain(0.0)
        gevent.sleep(LAST_WORDS)
        get_database_state().file_check.end()
    os._exit(0)  # gunicorn's own way raises SystemExit in a greenlet, which now and then prints a traceback
