"""The work on the queue of documents: claim, read, cut into chunks, embed, and switch in one transaction.

The table is the queue. An attempt is counted before the work, so that a document which kills its worker is given up
after three; what failed once is claimed alone, so that it takes no other with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from chatbot.concurrency.threads import give_back, run_in_slow_thread
from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import ChatbotError, GaveUp, LeaseLost
from chatbot.models import Collection, Document
from chatbot.models.knowledge import IS_WAITING
from chatbot.observability import metrics
from chatbot.rag.errors import AdapterError, DocumentError, ParserCrashed, ParserTimeout
from chatbot.rag.text import chunking, languages
from chatbot.rag.types import Parsed
from chatbot.services.knowledge import readers
from chatbot.services.knowledge.search import embeddings, vector_warnings
from chatbot.services.knowledge.state import get_knowledge_state

from . import queue as queues
from . import sources
from .publication import CLEARED_LEASE, MAX_ROWS_PER_STATEMENT, DocumentVectors, Job, group_by_collection, publish
from .queue import Queue

LEASE = timedelta(seconds=15)
LEASE_INTERVAL_SECONDS = 5.0  # seconds between two renewals
MAX_ATTEMPTS = 3
# Documents that are claimed, embedded and told of together: few where one may take a parser long.
BATCHES = {"plain": 32, "small": 4}
MAX_CLAIMED_BYTES = 4_000_000  # of documents that are claimed together: their texts are in memory at one time
LONG = 10_000  # characters that are cut on the spot: 2 ms

log = structlog.get_logger(__name__)
_ONE_WAITING = sa.select(Document.id).where(IS_WAITING).limit(1)


def process_batch(queue: Queue = "plain") -> int:
    """Work on the next documents of a queue; returns how many there were.

    Raises DatabaseBusy, DatabaseUnavailable, StorageFull: then the leases run out, and the work is done later.
    """
    jobs = claim(queue)
    if not jobs:
        _fail_exhausted_documents()
    held = get_knowledge_state().claimed_documents
    held.update({job.id: job.token for job in jobs})
    try:
        read_well = [job for job in jobs if parse_job(job)]
        _release(read_well)
        vectors = embed_jobs(read_well)
        _release(read_well)
        publish(read_well, vectors)
    finally:
        for job in jobs:
            held.pop(job.id, None)
    return len(jobs)


def claim(queue: Queue = "plain") -> list[Job]:
    """Claim the oldest documents that wait or have an expired lease; each claim counts as an attempt."""
    abandoned = sa.and_(Document.status == "processing", leases.is_expired(Document.lease_expires_at, LEASE))
    takeable = (sa.or_(Document.status == "queued", abandoned), Document.attempts < MAX_ATTEMPTS)
    free = (IS_WAITING, queues.condition(queue), *takeable)
    # Those that broke off before come alone.
    order = (Document.attempts > 0, Document.queued_at)
    with read() as connection:
        first = connection.execute(sa.select(Document.attempts).where(*free).order_by(*order).limit(1)).one_or_none()
    if first is None:
        return []
    again = first.attempts > 0
    max_documents = 1 if again else BATCHES.get(queue, 1)
    waiting = sa.select(Document.id, Document.size).where(*free, (Document.attempts > 0) == again).order_by(*order)
    waiting = waiting.limit(max_documents).with_for_update(skip_locked=True)
    token = uuid7()
    taken = {"status": "processing", "attempts": Document.attempts + 1, "lease_token": token, "updated_at": now()}
    language = sa.select(Collection.language).where(Collection.id == Document.collection_id).scalar_subquery()
    statement = sa.update(Document).values(**taken, lease_expires_at=now() + LEASE)
    title = sa.func.coalesce(Document.wanted_title, Document.title)
    columns = (Document.id, Document.collection_id, Document.wanted_version, title, Document.media_type)
    with write("claim_documents") as connection:
        ids = _take_within_bytes(MAX_CLAIMED_BYTES, connection.execute(waiting).all())
        statement = statement.where(Document.id.in_(ids)).returning(*columns, Document.url, Document.attempts, language)
        jobs = [Job(token, queue, *row) for row in connection.execute(statement)]
        readers.record_documents(connection, group_by_collection(jobs))
    return jobs


def _take_within_bytes(max_bytes: int, rows: Sequence[sa.Row[UUID, int]]) -> list[UUID]:
    """Return the first documents that have so many bytes together; one at least."""
    sizes = accumulate(row.bytes for row in rows)
    return [
        row.id for number, (row, size) in enumerate(zip(rows, sizes, strict=True)) if not number or size <= max_bytes
    ]


def renew_leases() -> None:
    """Keep the documents that this process works on."""
    held = get_knowledge_state().claimed_documents
    if held:
        statement = sa.update(Document).where(Document.lease_token.in_(set(held.values())), IS_WAITING)
        with write("renew_documents") as connection:
            connection.execute(statement.values(lease_expires_at=now() + LEASE))


def has_waiting_documents() -> bool:
    """Return whether a document waits or is worked on; asked each second by each process."""
    with read() as connection:
        return connection.scalar(_ONE_WAITING) is not None


def count_waiting() -> int:
    """Return how many documents wait or are worked on."""
    with read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(Document).where(IS_WAITING)) or 0


def _fail_exhausted_documents() -> None:
    """Fail documents with too many attempts; their owners may retry them."""
    dead = (IS_WAITING, Document.attempts >= MAX_ATTEMPTS, leases.is_expired(Document.lease_expires_at, LEASE))
    with read() as connection:
        if connection.scalar(sa.select(Document.id).where(*dead).limit(1)) is None:
            return
    reason = f"Its processing broke off {MAX_ATTEMPTS} times."
    failed = {"status": "failed", "error": GaveUp.__name__, "reason": reason, "updated_at": now(), **CLEARED_LEASE}
    statement = sa.update(Document).where(*dead).values(**failed).returning(Document.collection_id, Document.id)
    with write("give_documents_up") as connection:
        given_up: defaultdict[UUID, list[UUID]] = defaultdict(list)
        for row in connection.execute(statement):
            given_up[row.collection_id].append(row.id)
        readers.record_documents(connection, given_up)


def parse_job(job: Job) -> bool:
    """Read a document and split it into chunks; an unreadable one fails with a sentence for its owner."""
    try:
        parsed = sources.parse_source(job)
    except (DocumentError, ChatbotError) as error:
        if isinstance(error, ChatbotError) and not isinstance(error, LeaseLost) and error.retry_after is not None:
            raise  # the database's matter, not the document's
        if isinstance(error, ParserTimeout) and job.queue != "slow":
            _requeue(job, is_slow=True, attempts=0)
        elif isinstance(error, ParserCrashed) and job.attempts < MAX_ATTEMPTS:
            _requeue(job)  # perhaps it was not the document's fault
        else:
            _fail(job, error)
        return False
    if parsed is None:  # deleted, or replaced meanwhile
        return False
    _split(job, parsed)
    _report_progress(job, 0.4)
    return True


def _split(job: Job, parsed: Parsed) -> None:
    if parsed.title and job.url is not None and job.title == job.url[:255]:
        job.title = parsed.title[:255]
    job.language = job.language or languages.detect(parsed.text)
    job.text = parsed.text
    job.warnings = list(parsed.warnings)
    long = len(parsed.text) > LONG
    job.chunks = (
        run_in_slow_thread(chunking.split, parsed.text, parsed.pages)
        if long
        else chunking.split(parsed.text, parsed.pages)
    )


def embed_jobs(jobs: list[Job]) -> DocumentVectors:
    """Return the vectors of the chunks of documents; none where the embedder fails.

    Words alone find them then, until `embeddings.backfill_vectors` has given them vectors.
    """
    if not any(job.chunks for job in jobs):
        return DocumentVectors()
    try:
        embedder = embeddings.get_active_embedder()
        vectors = embeddings.embed_all(embedder, (text for job in jobs for text in job.indexed()))
    except AdapterError as error:
        log.warning("documents without vectors", error=type(error).__name__, detail=error.detail)
        get_knowledge_state().embeddings_missing.set()
        for job in jobs:
            job.warnings = [*job.warnings, vector_warnings.NO_VECTORS]
        return DocumentVectors()
    if embeddings.get_active_embedder().space != embedder.space:  # `reindex` went over to another one in this moment
        get_knowledge_state().embeddings_missing.set()
    found = {}
    at = 0
    for job in jobs:
        found[job.id] = vectors[at : at + len(job.chunks)]
        at = at + len(job.chunks)
        if any(vector is None for vector in found[job.id]):
            job.warnings = [*job.warnings, vector_warnings.REFUSED_PASSAGES]
    return DocumentVectors(embedder.space, found)


def _release(jobs: list[Job]) -> None:
    """Return freed memory after each step with a thick book: the process would keep it beside the next step's."""
    if any(len(job.text) > MAX_CLAIMED_BYTES for job in jobs):
        run_in_slow_thread(give_back)


def _fail(job: Job, error: DocumentError | ChatbotError) -> None:
    facts = {"error": type(error).__name__, "detail": error.detail, "cause": repr(error.__cause__)}
    metrics.DOCUMENTS.labels("failed").inc()
    log.info("document failed", document=str(job.id), **facts)
    conditions = (Document.id == job.id, Document.lease_token == job.token)
    failed = {"status": "failed", "error": type(error).__name__, "reason": error.detail[:300], "updated_at": now()}
    with write("fail_document") as connection:
        connection.execute(sa.update(Document).where(*conditions).values(**failed, **CLEARED_LEASE))
        readers.record_documents(connection, {job.collection_id: [job.id]})


def _requeue(job: Job, **changed: Any) -> None:
    conditions = (Document.id == job.id, Document.lease_token == job.token)
    with write("put_document_back") as connection:
        connection.execute(
            sa.update(Document).where(*conditions).values(status="queued", updated_at=now(), **CLEARED_LEASE, **changed)
        )
        readers.record_documents(connection, {job.collection_id: [job.id]})


def _report_progress(job: Job, progress: float) -> None:
    """Update the progress of a long document; a short one is ready too soon for it."""
    if len(job.chunks) > MAX_ROWS_PER_STATEMENT:
        conditions = (Document.id == job.id, Document.lease_token == job.token)
        with write("tell_progress") as connection:
            connection.execute(sa.update(Document).where(*conditions).values(progress=progress, updated_at=now()))
            readers.record_documents(connection, {job.collection_id: [job.id]})
