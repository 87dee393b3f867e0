"""The time from the writing of a message to its delivery."""

from chatbot.database.types import now
from chatbot.observability import metrics
from chatbot.services.rooms.records import Message, RoomChange


def observe(change: RoomChange) -> None:
    """Count the delivery lag of a member's new message; nothing else has the time of its last change."""
    message = change.data
    if change.event == "message" and isinstance(message, Message) and message.kind == "message":
        metrics.ROOM_DELIVERY_SECONDS.observe(max(0.0, (now() - message.created_at).total_seconds()))
