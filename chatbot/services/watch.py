"""Waits for changes of rows, made in any process: one query at a time for all readers."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from chatbot.errors import ChatbotError

MAX_IDS = 500  # in one query

S = TypeVar("S")

log = structlog.get_logger(__name__)


class Watch(Generic[S]):
    """Follows the states of rows for all readers of a process; `find_states` returns those of some that are there."""

    def __init__(
        self, app: Flask, name: str, find_states: Callable[[Sequence[UUID]], Mapping[UUID, S]], *, poll_seconds: float
    ) -> None:
        self._app = app
        self._name = name
        self._find_states = find_states
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._waiting: dict[threading.Event, tuple[UUID, S | None]] = {}
        self._is_running = False

    def wait(self, row_id: UUID, seen: S | None, seconds: float) -> bool:
        """Wait until a row has another state than `seen`, None for no row; return False when the time is up before."""
        event = threading.Event()
        with self._lock:
            self._waiting[event] = (row_id, seen)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        try:
            return event.wait(seconds)
        finally:
            with self._lock:
                self._waiting.pop(event, None)

    def _run(self) -> None:
        """Look again and again while anything is followed."""
        while True:
            time.sleep(self._poll_seconds)
            with self._lock:
                waiting = dict(self._waiting)
                if not waiting:
                    self._is_running = False
                    return
            try:
                self._wake(waiting)
            except (ChatbotError, SQLAlchemyError) as error:
                log.warning("rows not followed", watch=self._name, error=type(error).__name__)

    def _wake(self, waiting: dict[threading.Event, tuple[UUID, S | None]]) -> None:
        ids = sorted({row_id for row_id, _ in waiting.values()})
        states: dict[UUID, S] = {}
        with self._app.app_context():
            for start in range(0, len(ids), MAX_IDS):
                states |= self._find_states(ids[start : start + MAX_IDS])
        for event, (row_id, seen) in waiting.items():
            if states.get(row_id) != seen:
                event.set()
