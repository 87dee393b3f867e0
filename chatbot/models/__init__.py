"""Tables."""

from .auth import Session, User
from .chat import ChatMessage, Conversation
from .lease import Lease

__all__ = ["ChatMessage", "Conversation", "Lease", "Session", "User"]
