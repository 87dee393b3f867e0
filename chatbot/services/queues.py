"""Three queues in one table: nobody waits behind a thick book or a slow host."""

from typing import Literal, get_args

import sqlalchemy as sa

from ..models import Document
from .storage import Content

Queue = Literal["small", "large", "fetched"]
QUEUES: tuple[Queue, ...] = get_args(Queue)
LARGE = 1_000_000  # bytes


def condition(queue: Queue) -> sa.ColumnElement[bool]:
    """Return the condition on `documents` for those of a queue."""
    if queue == "fetched":
        return Document.url.is_not(None)
    return sa.and_(Document.url.is_(None), Document.size >= LARGE if queue == "large" else Document.size < LARGE)


def of(content: Content) -> Queue:
    """Return the queue of what was sent."""
    if content.url is not None:
        return "fetched"
    return "large" if content.size >= LARGE else "small"
