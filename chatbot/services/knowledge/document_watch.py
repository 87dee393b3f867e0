"""The watch that wakes the streams that follow documents."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import Document
from chatbot.services.watch import Watch

POLL_INTERVAL_SECONDS = 0.3  # between two queries, while anything is followed

State = tuple[str, float]  # status and progress
DocumentWatch = Watch[State]


def create(app: Flask) -> DocumentWatch:
    """Return a watch on documents."""
    return Watch(app, "document watch", _find_states, poll_seconds=POLL_INTERVAL_SECONDS)


def _find_states(ids: Sequence[UUID]) -> dict[UUID, State]:
    with read() as connection:
        rows = connection.execute(
            sa.select(Document.id, Document.status, Document.progress).where(Document.id.in_(ids))
        )
        return {row.id: (row.status, row.progress) for row in rows}
