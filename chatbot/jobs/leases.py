"""Keeps the leases of this process's turns, and closes turns that nobody keeps."""

import structlog
from flask import Flask

from ..errors import ChatbotError
from ..services import turns

log = structlog.get_logger(__name__)


def run(app: Flask) -> None:
    """Renew, then reap."""
    with app.app_context():
        try:
            turns.renew_leases()
            turns.close_abandoned()
        except ChatbotError as error:
            log.warning("leases not renewed", detail=error.detail)
