"""Work that repeats while a process has sockets."""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from chatbot.errors import ChatbotError

from .connections import Registry

log = structlog.get_logger(__name__)


class Loop:
    """Repeats a step in a thread of its own, within the application's context; no error of a step ends it."""

    def __init__(self, registry: Registry, name: str, step: Callable[[], None], seconds: float) -> None:
        self._registry = registry
        self._name = name
        self._step = step
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_running = False

    def start(self) -> None:
        """Let the step be repeated until there are no sockets any more."""
        with self._lock:
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            had_sockets = bool(self._registry.list_all())
            try:
                with self._registry.app.app_context():
                    self._step()
            except (ChatbotError, SQLAlchemyError) as error:
                log.warning("step of a loop failed", loop=self._name, error=type(error).__name__)
            except Exception as error:  # the loop serves all sockets, and one of them was at fault
                log.error("step of a loop failed", loop=self._name, exc_info=error)
            time.sleep(self._seconds)
            with self._lock:
                if not (had_sockets or self._registry.list_all()):  # the last step came behind the last socket
                    self._is_running = False
                    return
