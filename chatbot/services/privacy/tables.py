"""A registry of the tables with data of users: the columns in an export, and the eraser of each.

A table that has no entry here fails a test, so that neither an export nor an erasure forgets it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from chatbot.models import (
    ApiKey,
    AuditEntry,
    Budget,
    BudgetReservation,
    ChatMessage,
    Chunk,
    ChunkVector,
    Collection,
    CollectionMember,
    Conversation,
    ConversationShare,
    ConversationSummary,
    ConversationTag,
    Document,
    DocumentFact,
    DocumentPiece,
    ExternalIdentity,
    Feedback,
    IdempotencyKey,
    KnowledgeChange,
    LedgerEntry,
    Mail,
    MailToken,
    ParserUsage,
    Room,
    RoomMember,
    RoomMessage,
    RoomMessageSource,
    Session,
    SyncChange,
    SyncCounter,
    TurnLogPiece,
    TurnTrace,
    User,
    VectorCopy,
)

from .user_table import Condition, UserTable

LEASE = frozenset({"lease_token", "lease_expires_at"})


def _is_user(column: InstrumentedAttribute[Any]) -> Callable[[Any], Condition]:
    """Return the condition for rows with a user's id in a column."""
    return lambda user_id: column == user_id


def _is_recipient(user_id: UUID) -> Condition:
    """Return the condition for mails to a user; one that was asked for by its address has no user."""
    email = sa.select(sa.func.lower(User.email)).where(User.id == user_id).scalar_subquery()
    return sa.or_(Mail.user_id == user_id, sa.and_(Mail.user_id.is_(None), sa.func.lower(Mail.recipient) == email))


def _is_in_room(user_id: UUID) -> Condition:
    memberships = (RoomMember.user_id == user_id, RoomMember.state == "member")
    return Room.id.in_(sa.select(RoomMember.room_id).where(*memberships))


def _is_in_message(user_id: UUID) -> Condition:
    columns = (RoomMessage.author_id, RoomMessage.asker_id, RoomMessage.subject_id, RoomMessage.visible_to)
    return sa.or_(*(column == user_id for column in columns))


_TURN_CHILDREN = (
    UserTable(TurnLogPiece, TurnLogPiece.turn_id.in_, "history", reason="The turn has its text when it ends."),
    UserTable(TurnTrace, TurnTrace.turn_id.in_, "history", "turn_trace"),
    UserTable(Feedback, Feedback.turn_id.in_, "history", "feedback"),
)
_CONVERSATION_CHILDREN = (
    UserTable(ConversationTag, ConversationTag.conversation_id.in_, "history", "conversation_tag"),
    UserTable(ConversationSummary, ConversationSummary.conversation_id.in_, "history", "conversation_summary"),
    UserTable(
        ConversationShare,
        ConversationShare.conversation_id.in_,
        "history",
        "conversation_share",
        omitted=frozenset({"token_hash"}),
    ),
)
_CHUNK = UserTable(
    Chunk,
    Chunk.document_id.in_,
    "knowledge",
    "chunk",
    order=(Chunk.version, Chunk.position),
    is_large=True,
    children=(UserTable(ChunkVector, ChunkVector.chunk_id.in_, "knowledge", reason="Computed from the chunk's text."),),
)
_DOCUMENT = UserTable(
    Document,
    Document.collection_id.in_,
    "knowledge",
    "document",
    omitted=LEASE,
    order=(Document.created_at, Document.id),
    is_large=True,
    children=(
        UserTable(DocumentFact, DocumentFact.document_id.in_, "knowledge", reason="A copy of the document's metadata."),
        UserTable(
            DocumentPiece,
            DocumentPiece.document_id.in_,
            "knowledge",
            "document_piece",
            order=(DocumentPiece.version, DocumentPiece.position),
            page_rows=1,
            is_large=True,
        ),
        _CHUNK,
    ),
)
_COLLECTION_CHILDREN = (
    _DOCUMENT,
    UserTable(KnowledgeChange, KnowledgeChange.collection_id.in_, "knowledge", reason="A document's id and a time."),
    UserTable(VectorCopy, VectorCopy.collection_id.in_, "knowledge", reason="The state of a copy of vectors."),
)

USER_TABLES = (
    UserTable(
        User,
        _is_user(User.id),
        "account",
        "account",
        omitted=frozenset({"email_key", "username_key", "password_hash", "erasure_id"}),
    ),
    UserTable(
        Session,
        _is_user(Session.user_id),
        "account",
        "session",
        omitted=frozenset({"refresh_hash", "previous_hash", "access_jti"}),
    ),
    UserTable(
        ApiKey,
        _is_user(ApiKey.user_id),
        "account",
        "api_key",
        omitted=frozenset({"secret_hash"}),
        order=(ApiKey.created_at, ApiKey.id),
    ),
    UserTable(
        ExternalIdentity,
        _is_user(ExternalIdentity.user_id),
        "account",
        "external_identity",
        omitted=frozenset({"login_key_id"}),
    ),
    UserTable(
        Budget,
        _is_user(Budget.user_id),
        "account",
        "budget",
        children=(
            UserTable(BudgetReservation, BudgetReservation.budget_id.in_, "account", reason="A part of a budget."),
        ),
    ),
    UserTable(Mail, _is_recipient, "account", "mail"),
    UserTable(MailToken, _is_user(MailToken.user_id), "account", "mail_token"),
    UserTable(
        AuditEntry,
        lambda user_id: sa.or_(AuditEntry.user_id == user_id, AuditEntry.actor_id == user_id),
        "account",
        "audit_entry",
        omitted=frozenset({"actor_id", "user_id"}),
    ),
    UserTable(
        LedgerEntry,
        _is_user(LedgerEntry.user_id),
        "account",
        "ledger_entry",
        order=(LedgerEntry.opened_at_ms, LedgerEntry.turn_id),
    ),
    UserTable(
        IdempotencyKey,
        _is_user(IdempotencyKey.user_id),
        "account",
        "idempotency_key",
        omitted=frozenset({"body_hash"}),
    ),
    UserTable(
        Conversation,
        _is_user(Conversation.user_id),
        "history",
        "conversation",
        page_rows=200,
        children=_CONVERSATION_CHILDREN,
    ),
    UserTable(
        ChatMessage,
        _is_user(ChatMessage.user_id),
        "history",
        "turn",
        omitted=LEASE,
        order=(ChatMessage.created_at, ChatMessage.id),
        page_rows=10,
        children=_TURN_CHILDREN,
    ),
    UserTable(RoomMember, _is_user(RoomMember.user_id), "rooms", "room_membership"),
    UserTable(Room, _is_in_room, "rooms", "room", omitted=frozenset({"creator_id"})),
    UserTable(
        RoomMessage,
        _is_in_message,
        "rooms",
        "room_message",
        omitted=frozenset({"mentions", "citations", "audience", "withheld"}),
        children=(
            UserTable(
                RoomMessageSource,
                RoomMessageSource.message_id.in_,
                "rooms",
                reason="The ids of collections, perhaps of others.",
            ),
        ),
    ),
    UserTable(
        Collection,
        _is_user(Collection.owner_id),
        "knowledge",
        "collection",
        order=(Collection.created_at, Collection.id),
        children=_COLLECTION_CHILDREN,
    ),
    UserTable(CollectionMember, _is_user(CollectionMember.user_id), "account", "collection_membership"),
    UserTable(ParserUsage, _is_user(ParserUsage.user_id), "account", "parser_usage"),
    UserTable(
        SyncChange,
        _is_user(SyncChange.user_id),
        "account",
        reason="The ids of things, which are exported themselves.",
    ),
    UserTable(SyncCounter, _is_user(SyncCounter.user_id), "account", reason="A number of changes."),
)
OTHER_TABLES = {
    "code_guesses": "numbers of guesses by keyed hashes, which expire within minutes",
    "embedding_spaces": "the operator's models",
    "erasures": "receipts, which have nothing of their users",
    "leases": "of recurring work",
    "room_invites": "of a room and by no user; they go with the room, or expire",
    "sync_state": "one row, of the database",
    "usage_hours": "sums of all users",
}
"""Tables without data of users, and why."""


@dataclass(frozen=True, slots=True)
class UserRows:
    """A table and the condition for those of its rows that are a user's."""

    table: UserTable
    condition: Condition


def list_rows(user_id: UUID) -> Iterator[UserRows]:
    """Yield all tables of users with the conditions for the rows of one, parents before their children."""
    for table in USER_TABLES:
        yield from _list_rows(table, table.belongs_to(user_id))


def _list_rows(table: UserTable, condition: Condition) -> Iterator[UserRows]:
    yield UserRows(table, condition)
    for child in table.children:
        ids = sa.select(table.table.c.id).where(condition)
        yield from _list_rows(child, child.belongs_to(ids))
