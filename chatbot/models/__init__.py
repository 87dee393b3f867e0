"""Tables."""

from .auth import Session, User
from .chat import ChatMessage, Conversation, Feedback, IdempotencyKey, TurnLogPiece
from .lease import Lease

__all__ = ["ChatMessage", "Conversation", "Feedback", "IdempotencyKey", "Lease", "Session", "TurnLogPiece", "User"]
