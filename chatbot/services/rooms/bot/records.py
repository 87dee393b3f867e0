"""Values of the bot."""

from dataclasses import dataclass
from uuid import UUID

from chatbot.services.accounts.callers import Caller


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of the bot that is queued or being written, and its asker, None where the account is gone."""

    id: UUID
    room_id: UUID
    seq: int
    asker: Caller | None
    visible_to: UUID | None
    reply_to: UUID
    turn_id: UUID | None = None

    @property
    def is_private(self) -> bool:
        """Whether the asker alone reads it."""
        return self.visible_to is not None
