"""The daily purge; looks more often, so that restarts skip nothing."""

from datetime import timedelta

import structlog
from flask import Flask

from chatbot.errors import ChatbotError
from chatbot.services.operations import clock, retention

log = structlog.get_logger(__name__)


class Purge:
    """The job and its watch over the clock, one in each process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._watch = clock.Watch()

    def run(self) -> None:
        """Purge when a day has passed since the last time, in whichever process."""
        with self._app.app_context():
            try:
                retention.purge_if_due(timedelta(days=self._app.config["RETENTION_DAYS"]), self._watch)
            except ChatbotError as error:
                log.warning("not purged", detail=error.detail or type(error).__name__)
