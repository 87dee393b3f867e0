"""Made-up data by the million, on which speed is measured: users, turns over sixty days, passages with vectors."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import EmailTaken
from chatbot.models import (
    ChatMessage,
    Chunk,
    ChunkVector,
    Collection,
    Conversation,
    Document,
    EmbeddingSpace,
    LedgerEntry,
    SyncChange,
    SyncCounter,
    User,
)
from chatbot.services.accounts import passwords
from chatbot.services.chat import conversation_rows
from chatbot.services.knowledge import content
from chatbot.services.sync import changes
from chatbot.services.usage import hours, ledger

if TYPE_CHECKING:
    from chatbot.rag.types import Vectors

PASSWORD = "a passphrase for benchmarks"  # noqa: S105 - of made-up users; the command is refused in production
SPAN = timedelta(days=60)  # over which turns are spread: half are older than the usual retention
PER_CONVERSATION = 10
NUMBERS = ("last_sequence", "turns", "read_sequence")  # of a conversation, all of whose turns were read
BATCH = 5_000
DIMENSION = 256
SETTLED = (ChatMessage, LedgerEntry, Conversation, Chunk, ChunkVector, SyncChange, SyncCounter)
SPACE = "wordllama-256"
PER_DOCUMENT = 50
WORDS = 60
VOCABULARY = 50_000
COMMON = list(itertools.accumulate(1 / (rank + 50) for rank in range(VOCABULARY)))

Step = Callable[[int], None]

_owner = sa.bindparam("owner", type_=sa.Uuid())
_of_this = ChatMessage.conversation_id == Conversation.id
COUNT_TURNS = (
    sa.update(Conversation)
    .where(Conversation.user_id == _owner)
    .values(
        {name: sa.select(sa.func.max(ChatMessage.sequence)).where(_of_this).scalar_subquery() for name in NUMBERS}
        | {
            name: sa.select(sa.func.max(ChatMessage.created_at)).where(_of_this).scalar_subquery()
            for name in ("activity_at", "updated_at")
        }
    )
)


def _record_changes() -> sa.Insert:
    """Return the statement that records all that a new user has, as it would have been by and by."""
    things = sa.union_all(
        sa.select(
            sa.literal("conversation").label("type"), Conversation.id, Conversation.activity_at.label("at")
        ).where(Conversation.user_id == _owner),
        sa.select(sa.literal("turn"), ChatMessage.id, ChatMessage.created_at).where(ChatMessage.user_id == _owner),
    ).subquery()
    position = sa.func.row_number().over(order_by=(things.c.at, things.c.id))
    rows = sa.select(_owner, things.c.type, things.c.id, position, sa.false(), things.c.at)
    names = ["user_id", "type", "object_id", "position", "deleted", "changed_at"]
    return sa.insert(SyncChange).from_select(names, rows)


RECORD_CHANGES = _record_changes()
COUNT_CHANGES = sa.insert(SyncCounter).from_select(
    ["user_id", "position"],
    sa.select(SyncChange.user_id, sa.func.max(SyncChange.position))
    .where(SyncChange.user_id == _owner)
    .group_by(SyncChange.user_id),
)


def counts(users: int, turns: int) -> list[int]:
    """Return the turns of each user: the first has half of all, then a twentieth, a hundred, and the rest evenly."""
    special = [turns // 2, turns // 20, 100]
    each, more = divmod(turns - sum(special), users - len(special))
    return [*special, *(each + (number < more) for number in range(users - len(special)))]


@dataclass(slots=True)
class _Thread:
    """The conversation that a user is in."""

    id: UUID = field(default_factory=uuid7)
    turns: int = 0


def users(number: int) -> list[UUID]:
    """Make users `bench-0@example.com` and so on, all with one password; raises EmailTaken when they are there."""
    secret = passwords.hash_password(PASSWORD)
    ids = [uuid7() for _ in range(number)]
    rows = []
    for one, identity in enumerate(ids):
        name = f"bench-{one}"
        email = f"{name}@example.com"
        rows.append({"id": identity, "email": email, "email_key": email, "username": name, "username_key": name})
    try:
        with write("seed_users") as connection:
            connection.execute(sa.insert(User).values(password_hash=secret), rows)
    except IntegrityError as error:
        raise EmailTaken("The users of a benchmark are there already.") from error
    return ids


def turns(owners: Sequence[UUID], counts: Sequence[int], on_batch: Step) -> None:
    """Make so many turns of each owner, from the oldest to the newest, as they would have come."""
    dice = random.Random(1)  # noqa: S311 - made-up words
    order = [owner for owner, count in zip(owners, counts, strict=True) for _ in range(count)]
    dice.shuffle(order)
    began = now() - SPAN
    each = SPAN / max(1, len(order))
    threads = {owner: _Thread(turns=PER_CONVERSATION) for owner in owners}
    sentences = [text(dice, 12) for _ in range(997)]
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        fresh: list[dict[str, Any]] = []
        moments = (began + each * number for number in range(start, start + len(part)))
        rows = [_turn(owner, at, threads, fresh, sentences) for owner, at in zip(part, moments, strict=True)]
        with write("seed_turns") as connection:
            if fresh:
                connection.execute(sa.insert(Conversation), fresh)
            connection.execute(sa.insert(ChatMessage), rows)
            connection.execute(sa.insert(LedgerEntry), [_entry(row) for row in rows])
        on_batch(len(part))
    with write("seed_usage") as connection:
        hours.invalidate(connection, ledger.to_milliseconds(began))
    for owner in owners:
        with write("seed_changes") as connection:
            connection.execute(COUNT_TURNS, {"owner": owner})
            connection.execute(RECORD_CHANGES, {"owner": owner})
            connection.execute(COUNT_CHANGES, {"owner": owner})


def settle() -> None:
    """Count and tidy up as PostgreSQL does by itself, with grown data long ago, so that this is not measured."""
    with read() as connection:  # a statement alone has no transaction, which this must not have
        if connection.dialect.name == "postgresql":
            names = ", ".join(model.__tablename__ for model in SETTLED)
            connection.exec_driver_sql(f"VACUUM (ANALYZE) {names}")


def _turn(
    owner: UUID, at: datetime, threads: dict[UUID, _Thread], fresh: list[dict[str, Any]], sentences: list[str]
) -> dict[str, Any]:
    mark = hash((owner, at))
    message = sentences[mark % len(sentences)]
    thread = threads[owner]
    if thread.turns == PER_CONVERSATION:
        thread = threads[owner] = _Thread()
        title = conversation_rows.build_title(message)
        fresh.append({"id": thread.id, "user_id": owner, "title": title, "title_source": "auto", "created_at": at})
    thread.turns += 1
    return {
        "id": uuid7(), "user_id": owner, "conversation_id": thread.id, "sequence": thread.turns,
        "user_message": message,
        "bot_response": f"{sentences[mark % 991]} {sentences[mark % 983]}",
        "status": "completed", "model": "bench", "prompt_tokens": 20, "completion_tokens": 40,
        "created_at": at, "completed_at": at,
    }  # fmt: skip


def _entry(turn: dict[str, Any]) -> dict[str, Any]:
    """Return the ledger's entry of a turn, with latencies of 0.2 to 4 seconds."""
    shared = ("user_id", "conversation_id", "status", "model", "prompt_tokens", "completion_tokens")
    mark = hash(turn["id"])
    return {
        **{name: turn[name] for name in shared},
        "turn_id": turn["id"],
        "opened_at_ms": ledger.to_milliseconds(turn["created_at"]),
        "entry": "api",
        "first_text_ms": 200 + mark % 1_801,
        "total_ms": 2_000 + mark % 2_003,
    }


def passages(owner: UUID, name: str, count: int, on_batch: Step, vectors: "Vectors | None" = None) -> UUID:
    """Make a collection of so many passages of random words, with random vectors or given ones; returns its id."""
    import numpy as np

    collection_id = uuid7()
    dice = random.Random(count)  # noqa: S311 - as above
    numbers = np.random.default_rng(count)
    with write("seed_collection") as connection:
        _ensure_space(connection)
        connection.execute(sa.insert(Collection).values(id=collection_id, owner_id=owner, name=name))
        changes.record(connection, owner, [changes.Change("collection", collection_id)])
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        if vectors is None:
            batch = numbers.normal(size=(size, DIMENSION)).astype(np.float32)
            batch /= np.linalg.norm(batch, axis=1, keepdims=True)
        else:
            batch = vectors[start : start + size]
        with write("seed_passages") as connection:
            documents = _add(connection, collection_id, f"{name} {start}", size, batch, dice)
            changes.record(connection, owner, changes.changed("document", documents))
        on_batch(size)
    return collection_id


def _ensure_space(connection: sa.Connection) -> None:
    if connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.name == SPACE)) is None:
        values = {"name": SPACE, "adapter": "wordllama", "model": "text-embedding-3-small", "dimension": DIMENSION}
        first = connection.scalar(sa.select(EmbeddingSpace.name).where(EmbeddingSpace.active)) is None
        connection.execute(sa.insert(EmbeddingSpace).values(**values, active=first))


def _add(
    connection: sa.Connection, collection_id: UUID, title: str, size: int, vectors: Any, dice: random.Random
) -> list[UUID]:
    """Add passages to a collection; returns the documents that they are of."""
    documents = [uuid7() for _ in range(-(-size // PER_DOCUMENT))]
    sizes = Counter(number // PER_DOCUMENT for number in range(size))
    rows = [_document(collection_id, one, f"{title}.{number}", sizes[number]) for number, one in enumerate(documents)]
    connection.execute(sa.insert(Document), rows)
    chunks = [
        _chunk(collection_id, documents[number // PER_DOCUMENT], number % PER_DOCUMENT, dice) for number in range(size)
    ]
    ids = connection.scalars(sa.insert(Chunk).returning(Chunk.id, sort_by_parameter_order=True), chunks).all()
    values = [{"chunk_id": one, "space": SPACE, "vector": row.tobytes()} for one, row in zip(ids, vectors, strict=True)]
    connection.execute(sa.insert(ChunkVector), values)
    content.record_changes(connection, collection_id, {documents[number]: count for number, count in sizes.items()})
    return documents


def _document(collection_id: UUID, identity: UUID, title: str, chunks: int) -> dict[str, Any]:
    place = {"id": identity, "collection_id": collection_id, "title": title, "media_type": "text/plain"}
    return place | {"bytes": 1, "metadata": {}, "version": 1, "status": "ready", "chunks": chunks, "progress": 1.0}


def _chunk(collection_id: UUID, document: UUID, position: int, dice: random.Random) -> dict[str, Any]:
    words = text(dice, WORDS)
    place = {"version": 1, "position": position, "start": 0, "end": len(words), "page": None}
    return {
        "collection_id": collection_id,
        "document_id": document,
        "headings": "",
        "language": "en",
        "text": words,
    } | place


def text(dice: random.Random, words: int) -> str:
    """Return words as common as those of a text without its stop words (Zipf-Mandelbrot, shift 50)."""
    return " ".join(f"word{rank}" for rank in dice.choices(range(VOCABULARY), cum_weights=COMMON, k=words))
