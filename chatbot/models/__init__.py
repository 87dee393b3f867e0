"""Tables."""

from chatbot.database.lease import Lease

from .audit import AuditEntry
from .auth import ApiKey, ExternalIdentity, Session, User
from .budgets import Budget, BudgetReservation
from .chat import ChatMessage, Feedback, IdempotencyKey, TurnLogPiece
from .conversations import Conversation, ConversationTag
from .knowledge import (
    Chunk,
    ChunkVector,
    Collection,
    CollectionMember,
    Document,
    DocumentFact,
    DocumentPiece,
    EmbeddingSpace,
    KnowledgeChange,
    ParserUsage,
    TurnTrace,
    VectorCopy,
)
from .mail import CodeGuess, Mail, MailToken
from .privacy import Erasure
from .rooms import Room, RoomInvite, RoomMember, RoomMessage, RoomMessageSource
from .shares import ConversationShare
from .summaries import ConversationSummary
from .sync import SyncChange, SyncCounter, SyncState
from .usage import LedgerEntry, UsageHour

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Budget",
    "BudgetReservation",
    "ChatMessage",
    "Chunk",
    "ChunkVector",
    "CodeGuess",
    "Collection",
    "CollectionMember",
    "Conversation",
    "ConversationShare",
    "ConversationSummary",
    "ConversationTag",
    "Document",
    "DocumentFact",
    "DocumentPiece",
    "EmbeddingSpace",
    "Erasure",
    "ExternalIdentity",
    "Feedback",
    "IdempotencyKey",
    "KnowledgeChange",
    "Lease",
    "LedgerEntry",
    "Mail",
    "MailToken",
    "ParserUsage",
    "Room",
    "RoomInvite",
    "RoomMember",
    "RoomMessage",
    "RoomMessageSource",
    "Session",
    "SyncChange",
    "SyncCounter",
    "SyncState",
    "TurnLogPiece",
    "TurnTrace",
    "UsageHour",
    "User",
    "VectorCopy",
]
