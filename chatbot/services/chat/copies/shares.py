"""Shares: links that show a conversation as it was when they were made, to readers without an account.

A share copies nothing: it shows the turns up to a sequence number, and of those that answer one message the newest of
that time. Later ones never show, and deleted ones show no more. A quote shows while its collection is shared.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import NotFound, TooManyShares
from chatbot.models import ChatMessage, Collection, Conversation, ConversationShare, Document, User
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.history import PAGE_BYTES

MAX_SHARES = 100  # of one conversation, at a time
TOKEN_BYTES = 32

FIELDS = (ConversationShare.id, ConversationShare.title, ConversationShare.created_at, ConversationShare.expires_at)
TURN_FIELDS = (
    ChatMessage.sequence,
    ChatMessage.user_message,
    ChatMessage.bot_response,
    ChatMessage.status,
    ChatMessage.created_at,
    ChatMessage.completed_at,
    ChatMessage.citations,
)


@dataclass(frozen=True, slots=True)
class Share:
    """A link to a conversation; its token is known only when it is made."""

    id: UUID
    title: str | None
    created_at: datetime
    expires_at: datetime
    token: str | None = None


@dataclass(frozen=True, slots=True)
class SharedCitation:
    """A citation as readers without an account see it; all that tells of the document is None unless it is shared."""

    marker: int | None
    title: str | None
    page: int | None
    quote: str | None
    supported: bool
    answer_spans: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class SharedTurn:
    """A message and its answer as readers without an account see them."""

    user_message: str
    bot_response: str
    status: str
    created_at: datetime
    completed_at: datetime | None
    citations: Sequence[SharedCitation]


@dataclass(frozen=True, slots=True)
class SharedPage:
    """A page of a shared conversation; `last_sequence` is that of its last turn where others follow."""

    title: str | None
    created_at: datetime
    expires_at: datetime
    items: Sequence[SharedTurn]
    last_sequence: int | None


def list_shares(
    caller: Caller, conversation_id: UUID, *, limit: int, after: keyset.Key | None = None
) -> keyset.Page[Share]:
    """Return up to `limit` shares of a conversation by time, without expired ones; raises NotFound."""
    statement = sa.select(*FIELDS).where(*_open_shares(conversation_id))
    order = (ConversationShare.created_at, ConversationShare.id)
    with read() as connection:
        _require_conversation(connection, caller, conversation_id)
        return keyset.fetch_page(connection, statement, Share, order=order, limit=limit, after=after)


def create(
    caller: Caller,
    conversation_id: UUID,
    *,
    expires_in: timedelta,
    until_turn_id: UUID | None = None,
    key: idempotency.Key | None = None,
) -> Share:
    """Share the turns up to one, or all that have ended; the same key again returns the share without its token.

    Raises NotFound for a conversation that is absent or another user's and for a turn of another one, TooManyShares,
    IdempotencyKeyReused.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    moment = now()
    try:
        with write("create_share") as connection:
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known:
                return _load(connection, conversation_id, known)
            title = _require_conversation(connection, caller, conversation_id, locks=True)
            _require_room(connection, conversation_id)
            share = Share(uuid7(), title, moment, moment + expires_in, token)
            values: dict[str, Any] = {
                "id": share.id,
                "title": title,
                "created_at": moment,
                "expires_at": share.expires_at,
            }
            values |= {"conversation_id": conversation_id, "token_hash": _hash(token)}
            values["last_sequence"] = _find_last_sequence(connection, conversation_id, until_turn_id)
            connection.execute(sa.insert(ConversationShare).values(values))
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=share.id)
            return share
    except IntegrityError:
        # A request with the same idempotency key came in the same moment.
        if key is None:
            raise
    return create(caller, conversation_id, expires_in=expires_in, until_turn_id=until_turn_id, key=key)


def delete(caller: Caller, conversation_id: UUID, share_id: UUID) -> None:
    """Delete a share, so that its token opens nothing any more; raises NotFound."""
    own = sa.exists().where(Conversation.id == conversation_id, Conversation.user_id == caller.user_id)
    this = (ConversationShare.id == share_id, ConversationShare.conversation_id == conversation_id)
    with write("delete_share") as connection:
        if connection.execute(sa.delete(ConversationShare).where(*this, own)).rowcount != 1:
            raise NotFound("There is no such share.")


def read_page(token: str, *, limit: int, after: int = 0) -> SharedPage:
    """Return up to `limit` of a share's turns after a sequence number; a page ends at PAGE_BYTES of text.

    Raises NotFound for a token that is unknown, expired or deleted, or whose user is disabled.
    """
    columns: list[Any] = [*FIELDS[1:], ConversationShare.conversation_id, ConversationShare.last_sequence]
    statement = (
        sa.select(*columns)
        .join(Conversation, Conversation.id == ConversationShare.conversation_id)
        .join(User, User.id == Conversation.user_id)
        .where(ConversationShare.token_hash == _hash(token), ConversationShare.expires_at > now())
        .where(Conversation.listed, User.disabled_at.is_(None))
    )
    with read() as connection:
        share = connection.execute(statement).one_or_none()
        if share is None:
            raise NotFound("There is no such share.")
        rows, last_sequence = _fetch_turns(connection, share, limit, after)
        shared = _find_shared_documents(connection, rows)
    turns = [_build_turn(row._asdict(), shared) for row in rows]
    return SharedPage(share.title, share.created_at, share.expires_at, turns, last_sequence)


def _fetch_turns(
    connection: sa.Connection, share: sa.Row[Any], limit: int, after: int
) -> tuple[list[sa.Row[Any]], int | None]:
    """Return a page of rows, and the last one's sequence where others follow."""
    sibling = sa.alias(ChatMessage.__table__)
    is_replaced = sa.exists().where(
        sibling.c.root_id == ChatMessage.root_id,
        sibling.c.sequence > ChatMessage.sequence,
        sibling.c.sequence <= share.last_sequence,
    )
    statement = sa.select(*TURN_FIELDS).where(
        ChatMessage.conversation_id == share.conversation_id,
        ChatMessage.sequence > after,
        ChatMessage.sequence <= share.last_sequence,
        ChatMessage.listed,
        ~is_replaced,
    )
    rows: list[sa.Row[Any]] = []
    left = PAGE_BYTES
    found = connection.execute(statement.order_by(ChatMessage.sequence).limit(limit + 1))
    for row in found:
        left -= len(row.user_message) + len(row.bot_response)
        if rows and (left < 0 or len(rows) == limit):
            found.close()
            return rows, rows[-1].sequence
        rows.append(row)
    return rows, None


def _find_shared_documents(connection: sa.Connection, rows: Iterable[sa.Row[Any]]) -> set[str]:
    """Return the ids of cited documents that all users may read."""
    cited = {UUID(one["document_id"]) for row in rows for one in row.citations or ()}
    if not cited:
        return set()
    statement = sa.select(Document.id).join(Collection, Collection.id == Document.collection_id)
    return set(map(str, connection.scalars(statement.where(Document.id.in_(cited), Collection.visibility == "shared"))))


def _build_turn(row: Mapping[str, Any], shared: set[str]) -> SharedTurn:
    citations = [_build_citation(one, is_shared=one["document_id"] in shared) for one in row["citations"] or ()]
    values = {name: value for name, value in row.items() if name not in {"sequence", "citations"}}
    return SharedTurn(**values, citations=citations)


def _build_citation(stored: Mapping[str, Any], *, is_shared: bool) -> SharedCitation:
    citation = SharedCitation(
        stored["marker"], None, None, None, supported=stored["supported"], answer_spans=stored["answer_spans"]
    )
    if not is_shared:
        return citation
    return replace(citation, title=stored["title"], page=stored["page"], quote=stored["quote"])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _open_shares(conversation_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return (ConversationShare.conversation_id == conversation_id, ConversationShare.expires_at > now())


def _load(connection: sa.Connection, conversation_id: UUID, share_id: UUID) -> Share:
    statement = sa.select(*FIELDS).where(ConversationShare.id == share_id, *_open_shares(conversation_id))
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("There is no such share.")
    return Share(**row._mapping)


def _require_conversation(
    connection: sa.Connection, caller: Caller, conversation_id: UUID, *, locks: bool = False
) -> str | None:
    """Return the title of one of the caller's conversations; raises NotFound."""
    own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id, Conversation.listed)
    statement = sa.select(Conversation.title).where(*own)
    row = connection.execute(statement.with_for_update() if locks else statement).one_or_none()
    if row is None:
        raise NotFound("There is no such conversation.")
    title: str | None = row.title
    return title


def _require_room(connection: sa.Connection, conversation_id: UUID) -> None:
    statement = sa.select(sa.func.count()).select_from(ConversationShare).where(*_open_shares(conversation_id))
    if (connection.scalar(statement) or 0) >= MAX_SHARES:
        raise TooManyShares(f"A conversation may have {MAX_SHARES} shares; delete one that is not needed.")


def _find_last_sequence(connection: sa.Connection, conversation_id: UUID, turn_id: UUID | None) -> int:
    """Return the sequence of the last turn that has ended, up to a turn if one is named; raises NotFound."""
    of_this = (ChatMessage.conversation_id == conversation_id, ChatMessage.listed)
    statement = sa.select(sa.func.max(ChatMessage.sequence)).where(*of_this, ChatMessage.status.not_in(RUNNING))
    if turn_id is not None:
        last = connection.scalar(sa.select(ChatMessage.sequence).where(*of_this, ChatMessage.id == turn_id))
        if last is None:
            raise NotFound("There is no such turn in this conversation.")
        statement = statement.where(ChatMessage.sequence <= last)
    return connection.scalar(statement) or 0
