"""The signals of one process."""

from collections.abc import Mapping, Set
from uuid import UUID

from chatbot.services.rooms.records import RoomUser

from .port import Typing


class MemoryTypingFeed:
    """Carries typing within this process."""

    def __init__(self) -> None:
        self._waiting: list[Typing] = []

    def publish(self, typing: Typing) -> None:
        """Let this process read of a user that types."""
        self._waiting.append(typing)

    def read(self) -> list[Typing]:
        """Return the typing since the last reading."""
        found = self._waiting
        self._waiting = []
        return found


class MemoryPresence:
    """The users with sockets in this process."""

    def exchange(self, own: Mapping[UUID, Set[RoomUser]]) -> dict[UUID, Set[RoomUser]]:
        """Return the users of this process."""
        return {room_id: frozenset(users) for room_id, users in own.items()}
