"""Works on the queue of documents and keeps this host's index of words up to date, in each worker."""

import threading
import time

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from chatbot.errors import ChatbotError
from chatbot.rag.errors import AdapterError
from chatbot.services import periodic
from chatbot.services.knowledge.ingestion import worker
from chatbot.services.knowledge.ingestion.queue import QUEUES, Queue
from chatbot.services.knowledge.search import embeddings, hybrid
from chatbot.services.knowledge.state import get_knowledge_state

FETCHERS = 4  # documents that are fetched from their addresses at a time
LOOK_INTERVAL_SECONDS = 1.0  # seconds between two looks at the queue without a signal
BACKFILL_INTERVAL_SECONDS = 30.0  # seconds between two tries to give vectors to what came while the embedder failed
GATHER_SECONDS = 0.1  # in which more documents may come after a few: together they take half the time
RETRY_SECONDS = 5.0  # seconds until the next try

log = structlog.get_logger(__name__)


def start(app: Flask) -> None:
    """Start the loops; they end with their process."""
    for queue in QUEUES:
        for _ in range(FETCHERS if queue == "fetched" else 1):
            threading.Thread(target=_work, args=(app, queue), name=f"knowledge {queue}", daemon=True).start()
    threading.Thread(target=periodic.run, args=(app, embeddings.probe_embedder), name="probe", daemon=True).start()
    periodic.every(app, LOOK_INTERVAL_SECONDS, signal_queued_documents)
    periodic.every(app, worker.LEASE_INTERVAL_SECONDS, worker.renew_leases)
    periodic.every(app, LOOK_INTERVAL_SECONDS, follow_replicas)
    periodic.every(app, BACKFILL_INTERVAL_SECONDS, embeddings.backfill_vectors)
    periodic.every(app, BACKFILL_INTERVAL_SECONDS, embeddings.probe_embedder)
    periodic.every(app, BACKFILL_INTERVAL_SECONDS, hybrid.probe_store)


def signal_queued_documents() -> None:
    """Wake the workers of the queues when another process has queued a document."""
    if worker.has_waiting_documents():
        for queue in QUEUES:
            get_knowledge_state().queue_changed[queue].set()


def follow_replicas() -> None:
    """Bring this process's replicas up to date, from its first search on."""
    if get_knowledge_state().has_lexical_index:
        get_knowledge_state().vector_index.forget_others(get_knowledge_state().lexical_index.follow_all())


def _work(app: Flask, queue: Queue) -> None:
    with app.app_context():
        queue_changed = get_knowledge_state().queue_changed[queue]
    while True:
        queue_changed.wait()
        queue_changed.clear()
        while done := process_next_documents(app, queue):
            if done < worker.BATCHES.get(queue, 1):
                time.sleep(GATHER_SECONDS)


def process_next_documents(app: Flask, queue: Queue = "plain") -> int:
    """Process the next documents; returns their number. Errors are logged, and the work is tried again later."""
    with app.app_context():
        try:
            return worker.process_batch(queue)
        except (ChatbotError, AdapterError, SQLAlchemyError) as error:
            log.warning("no work on documents", error=type(error).__name__, detail=str(error))
        except Exception as error:
            log.error("work on documents broke off", exc_info=error)
    time.sleep(RETRY_SECONDS)
    return 0
