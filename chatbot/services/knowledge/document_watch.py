"""Wakes the streams that follow documents: one query for all of them in place of one for each."""

import threading
import time
from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from chatbot.database.transactions import read
from chatbot.errors import ChatbotError
from chatbot.models import Document

LOOK_SECONDS = 0.3  # between two queries, while anything is followed
MAX_IDS = 500  # in one query

State = tuple[str, float]  # status and progress

log = structlog.get_logger(__name__)


class DocumentWatch:
    """Follows documents for all streams of a process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._waiting: dict[threading.Event, tuple[UUID, State]] = {}
        self._is_running = False

    def wait(self, document_id: UUID, seen: State, seconds: float) -> bool:
        """Wait until a document is gone or in another state than `seen`; return False when the time is up before."""
        event = threading.Event()
        with self._lock:
            self._waiting[event] = (document_id, seen)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="document watch", daemon=True).start()
        try:
            return event.wait(seconds)
        finally:
            with self._lock:
                self._waiting.pop(event, None)

    def _run(self) -> None:
        """Look again and again while anything is followed."""
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                waiting = dict(self._waiting)
                if not waiting:
                    self._is_running = False
                    return
            try:
                self._wake(waiting)
            except (ChatbotError, SQLAlchemyError) as error:
                log.warning("documents not followed", error=type(error).__name__)

    def _wake(self, waiting: dict[threading.Event, tuple[UUID, State]]) -> None:
        states = self._states({document_id for document_id, _ in waiting.values()})
        for event, (document_id, seen) in waiting.items():
            if states.get(document_id) != seen:
                event.set()

    def _states(self, ids: Iterable[UUID]) -> dict[UUID, State]:
        found: dict[UUID, State] = {}
        ordered = sorted(ids)
        with self._app.app_context():
            for start in range(0, len(ordered), MAX_IDS):
                among = Document.id.in_(ordered[start : start + MAX_IDS])
                with read() as connection:
                    rows = connection.execute(sa.select(Document.id, Document.status, Document.progress).where(among))
                    found |= {row.id: (row.status, row.progress) for row in rows}
        return found
