"""Gauges that are sampled: slots, connections, breakers, the queue."""

from chatbot.database.base import db
from chatbot.observability import metrics
from chatbot.rag.errors import AdapterError
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge.ingestion import worker


def look() -> None:
    """Note how things are in this process."""
    slots = get_chat_state().slots
    metrics.SLOTS.labels("used").set(slots.used)
    metrics.SLOTS.labels("all").set(slots.number)
    checked_out = getattr(db.engine.pool, "checkedout", None)
    metrics.CONNECTIONS.set(checked_out() if checked_out else 0)
    _look_at_breakers()
    metrics.QUEUE.set(worker.count_waiting())  # last: the others need no database


def _look_at_breakers() -> None:
    try:
        open_breakers = get_chat_state().llm().breakers()
    except AdapterError:  # there is no model
        return
    for model, is_open in open_breakers.items():
        metrics.BREAKERS.labels(model).set(is_open)
