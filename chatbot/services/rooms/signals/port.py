"""The ports of signals."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chatbot.services.rooms.records import RoomUser


@dataclass(frozen=True, slots=True)
class Typing:
    """A user writes a message to a room."""

    room_id: UUID
    user: RoomUser


class TypingFeed(Protocol):
    """Carries typing to all processes; a reading that is missed is not made up for."""

    def publish(self, typing: Typing) -> None:
        """Let each process read of a user that types."""

    def read(self) -> list[Typing]:
        """Return the typing of all processes since the last reading; the first one begins now."""


class PresenceStore(Protocol):
    """The users with sockets in rooms, in all processes."""

    def exchange(self, own: Mapping[UUID, Set[RoomUser]]) -> dict[UUID, Set[RoomUser]]:
        """Keep the users of some rooms in this process, none of a room that it left, and return those in all processes.

        A process keeps its users by an exchange every few seconds. Without the others there are its own.
        """
