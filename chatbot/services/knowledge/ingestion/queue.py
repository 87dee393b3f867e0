"""Five queues in one table: no document waits behind a thick book, a slow host or another owner's files.

A document's place in its queue is a moment: the one at which it came, and later for each document of its owner that
waits already, so that the owners of many and of few documents take turns (start-time fair queueing; P. Goyal, H. Vin,
H. Cheng, 1997). One that took a parser too long is tried again in a queue of its own, with more time.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import TooManyDocuments
from chatbot.models import Collection, Document, ParserUsage
from chatbot.models.knowledge import IS_WAITING
from chatbot.rag.types import ParserLimits
from chatbot.services.knowledge.content import Content

Queue = Literal["plain", "small", "large", "fetched", "slow"]
QUEUES: tuple[Queue, ...] = get_args(Queue)
LARGE = 1_000_000  # bytes
PLAIN = ("text/plain", "text/markdown")  # nothing in them can run wild: most need no process of their own
# Between the places of one owner's documents: about what one may take.
SPACING = timedelta(seconds=1)
SPACING_OF_FILES = timedelta(seconds=15)
FIRST_TRY = ParserLimits(cpu=10, wall=15.0)
FIRST_TRY_OF_LARGE = ParserLimits(cpu=30, wall=45.0)
LIMITS = {"large": FIRST_TRY_OF_LARGE, "slow": ParserLimits()}
RETRY_AFTER = 60.0  # seconds after which fewer documents wait

_this_collection = Collection.id == sa.bindparam("collection_id")
_same_owner = aliased(Collection)
_owned = sa.select(_same_owner.id).where(_same_owner.owner_id == Collection.owner_id).correlate(Collection)
_waiting = sa.select(sa.func.count()).select_from(Document).where(IS_WAITING, Document.collection_id.in_(_owned))
_OWNER_AND_WAITING = sa.select(Collection.owner_id, _waiting.correlate(Collection).scalar_subquery()).where(
    _this_collection
)
_OWNER = sa.select(Collection.owner_id).where(_this_collection)
_SECONDS = sa.select(ParserUsage.seconds).where(
    ParserUsage.user_id == sa.bindparam("its_owner"), ParserUsage.day == sa.bindparam("its_day")
)
# The same on both databases; an operator's collection has no owner, and its parsing is counted for no user.
_SPEND = sa.text(
    "INSERT INTO parser_usage (user_id, day, seconds) SELECT owner_id, :day, :seconds FROM collections "
    "WHERE id = :collection_id AND owner_id IS NOT NULL ON CONFLICT (user_id) DO UPDATE SET day = excluded.day, "
    "seconds = CASE WHEN parser_usage.day = excluded.day THEN parser_usage.seconds ELSE 0 END + excluded.seconds"
).bindparams(sa.bindparam("collection_id", type_=sa.Uuid()), sa.bindparam("day", type_=sa.Date()))


def condition(queue: Queue) -> sa.ColumnElement[bool]:
    """Return the condition on `documents` for those of a queue."""
    if queue == "slow":
        return Document.is_slow.is_(True)
    first_try = Document.is_slow.is_(False)
    if queue == "fetched":
        return sa.and_(first_try, Document.url.is_not(None))
    sent = sa.and_(first_try, Document.url.is_(None))
    if queue == "large":
        return sa.and_(sent, Document.size >= LARGE)
    is_plain = Document.media_type.in_(PLAIN)
    return sa.and_(sent, Document.size < LARGE, is_plain if queue == "plain" else ~is_plain)


def choose_queue(content: Content) -> Queue:
    """Return the queue of a content."""
    if content.url is not None:
        return "fetched"
    if content.size >= LARGE:
        return "large"
    return "plain" if content.media_type in PLAIN else "small"


def choose_place(connection: sa.Connection, collection_id: UUID, media_type: str) -> datetime:
    """Return the place of a document that is about to be queued in a locked collection.

    Raises TooManyDocuments where its owner has too many that wait, or used the parsers too long today.
    """
    owner, waiting = connection.execute(_OWNER_AND_WAITING, {"collection_id": collection_id}).one()
    moment = now()
    if owner is None:
        return moment
    if current_app.config["RATELIMIT_ENABLED"]:
        bound = current_app.config["DOCUMENTS_WAITING_PER_USER"]
        if waiting >= bound:
            raise TooManyDocuments(f"{bound} of your documents wait already.", retry_after=RETRY_AFTER)
        if media_type not in PLAIN:
            _require_seconds(connection, owner, retry_after=_until_tomorrow(moment))
    place: datetime = moment + waiting * (SPACING if media_type in PLAIN else SPACING_OF_FILES)
    return place


def require_parser_seconds(collection_id: UUID) -> None:
    """Raise TooManyDocuments where the parsers read the documents of a collection's owner for too long today."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return
    with read() as connection:
        owner = connection.scalar(_OWNER, {"collection_id": collection_id})
        if owner is not None:
            _require_seconds(connection, owner)


def spend_parser_seconds(collection_id: UUID, seconds: float) -> None:
    """Count how long a document of a collection was read."""
    with write("spend_parser_seconds", durable=False) as connection:
        connection.execute(_SPEND, {"collection_id": collection_id, "day": now().date(), "seconds": seconds})


def _require_seconds(connection: sa.Connection, owner: UUID, retry_after: float | None = None) -> None:
    used = connection.scalar(_SECONDS, {"its_owner": owner, "its_day": now().date()}) or 0.0
    if used >= current_app.config["PARSER_SECONDS_PER_USER"]:
        raise TooManyDocuments(
            "Your documents took too long to read today; try again tomorrow.", retry_after=retry_after
        )


def _until_tomorrow(moment: datetime) -> float:
    tomorrow = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (tomorrow - moment).total_seconds()
