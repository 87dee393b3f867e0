"""Values of rooms, as their members see them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from chatbot.services.chat.records import StoredCitation

# What a reader without rights to its sources sees of an answer.
WITHHELD: Mapping[str, Any] = MappingProxyType({"text": "", "status": "withheld", "citations": None, "audience": None})


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room as one of its members sees it; `role`, `read_seq` and `unread` are that member's."""

    id: UUID
    name: str
    topic: str
    history: str
    bot: str
    instructions: str | None
    collection_ids: Sequence[str] | None
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
    bot: str
    instructions: str | None
    collection_ids: Sequence[str] | None
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
class RoomUser:
    """A user as the members of a room see them."""

    id: UUID
    username: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room as one of its readers sees it; `rev` is the room's change that it was last changed by.

    An answer of the bot has the `status` and the `error` of its turn; the `audience` that it was made for; and for its
    asker the number of passages that were `withheld`. To a reader who may not read its sources its text is withheld.
    """

    id: UUID
    room_id: UUID
    seq: int
    rev: int
    author: RoomUser | None
    kind: str
    text: str
    reply_to: UUID | None
    mentions: Sequence[str]
    client_id: str | None
    turn_id: UUID | None
    status: str | None
    error: str | None
    citations: Sequence[StoredCitation] | None
    audience: Mapping[str, Any] | None
    withheld: int | None
    asker_id: UUID | None
    visible_to: UUID | None
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
    def event(self) -> Literal["message", "bot_done", "changed"]:
        """The name of the event that tells of it: a new message, an answer that has ended, or any other change."""
        data = self.data
        if not isinstance(data, Message) or data.edited_at is not None or data.deleted:
            return "changed"
        if data.kind != "bot" or data.status == "queued":
            return "message"
        return "changed" if data.status == "pending" else "bot_done"


View = Literal["asker", "member", "withheld"]


@dataclass(frozen=True, slots=True)
class RoomReaders:
    """The members of a room with the `seq` behind which each joined; `is_open`: they see all messages.

    `withheld` are the users that see the answer of a message without its text.
    """

    joined: Mapping[UUID, int]
    is_open: bool
    withheld: Mapping[UUID, Collection[UUID]]

    def find_view(self, user_id: UUID, change: RoomChange) -> View | None:
        """Return how a user sees a change, None where they may not be told of it."""
        joined = self.joined.get(user_id)
        data = change.data
        if joined is None:
            return None
        if not isinstance(data, Message):
            return "member"
        if data.visible_to not in {None, user_id} or not (self.is_open or data.seq > joined):
            return None
        if user_id in self.withheld.get(data.id, ()):
            return "withheld"
        return "asker" if data.asker_id == user_id else "member"


def show(change: RoomChange, view: View) -> RoomChange:
    """Return a change as readers with a view see it."""
    data = change.data
    if not isinstance(data, Message) or view == "asker":
        return change
    return replace(change, data=replace(data, withheld=None, **(WITHHELD if view == "withheld" else {})))


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes of a room in the order of `rev`; `rev` is how far they go, and `more` follow at once."""

    items: Sequence[RoomChange]
    rev: int
    more: bool
