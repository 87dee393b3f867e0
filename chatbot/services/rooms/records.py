"""Values of rooms, as their members see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room as one of its members sees it; `role`, `read_seq` and `unread` are that member's."""

    id: UUID
    name: str
    topic: str
    history: str
    members: int
    role: str
    last_seq: int
    rev: int
    read_seq: int
    unread: int
    created_at: datetime
    activity_at: datetime


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """A room as all of its members see it."""

    id: UUID
    name: str
    topic: str
    history: str
    members: int
    last_seq: int
    rev: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A membership of a room; `rev` is the room's change that it is of."""

    id: UUID
    room_id: UUID
    user_id: UUID
    username: str
    role: str
    rev: int
    joined_at: datetime
    state: str = "member"


@dataclass(frozen=True, slots=True)
class ReadMark:
    """How far a member has read; its id is the room's."""

    id: UUID
    read_seq: int
    unread: int


@dataclass(frozen=True, slots=True)
class Invite:
    """A link into a room; its token is known only when it is made."""

    id: UUID
    max_uses: int | None
    uses: int
    created_at: datetime
    expires_at: datetime
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """The user that wrote a message."""

    id: UUID
    username: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room; `seq` is its number, `rev` the room's change that it was last changed by."""

    id: UUID
    room_id: UUID
    seq: int
    rev: int
    author: Author | None
    kind: str
    text: str
    reply_to: UUID | None
    mentions: Sequence[str]
    client_id: str | None
    edited_at: datetime | None
    deleted: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PostResult:
    """A message, and whether the request made it."""

    message: Message
    is_new: bool


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages in the order of `seq`, and whether there are more in the direction that was asked for."""

    items: Sequence[Message]
    more: bool


@dataclass(frozen=True, slots=True)
class RoomChange:
    """A thing of a room in its newest state; a membership that has ended is deleted and has no data."""

    rev: int
    type: Literal["message", "member", "room"]
    op: Literal["upsert", "delete"]
    id: UUID
    data: Message | Member | RoomSettings | None

    @property
    def is_new_message(self) -> bool:
        """Whether it is a message that was neither edited nor deleted since."""
        data = self.data
        return isinstance(data, Message) and data.edited_at is None and not data.deleted


@dataclass(frozen=True, slots=True)
class Audience:
    """The members of a room with the `seq` behind which each joined; `is_open`: they see all messages."""

    joined: Mapping[UUID, int]
    is_open: bool

    def may_read(self, user_id: UUID, change: RoomChange) -> bool:
        """Return whether a user may be told of a change."""
        joined = self.joined.get(user_id)
        if joined is None:
            return False
        return self.is_open or not isinstance(change.data, Message) or change.data.seq > joined


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes of a room in the order of `rev`; `rev` is how far they go, and `more` follow at once."""

    items: Sequence[RoomChange]
    rev: int
    more: bool
