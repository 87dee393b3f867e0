"""Tables."""

from chatbot.database.lease import Lease

from .auth import ApiKey, Session, User
from .chat import ChatMessage, Conversation, Feedback, IdempotencyKey, TurnLogPiece
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

__all__ = [
    "ApiKey",
    "ChatMessage",
    "Chunk",
    "ChunkVector",
    "Collection",
    "CollectionMember",
    "Conversation",
    "Document",
    "DocumentFact",
    "DocumentPiece",
    "EmbeddingSpace",
    "Feedback",
    "IdempotencyKey",
    "KnowledgeChange",
    "Lease",
    "ParserUsage",
    "Session",
    "TurnLogPiece",
    "TurnTrace",
    "User",
    "VectorCopy",
]
