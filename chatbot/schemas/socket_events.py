"""The events of sockets by namespace, from which they are read and described.

A client's event has the schema of its data and of its acknowledgement, beside which a problem document may come.
"""

from dataclasses import dataclass

from marshmallow import Schema

from .chat import TurnSchema
from .events import BotDeltaSchema, BotDoneSchema
from .room_messages import RoomMessageSchema
from .rooms import ChangedInRoomSchema
from .sockets import (
    ClosingSchema,
    EmptySchema,
    FollowSchema,
    JoinedRoomSchema,
    JoinRoomSchema,
    PresenceEventSchema,
    RoomIdSchema,
    SendSchema,
    SocketMessageSchema,
    SocketReadSchema,
    TokenSchema,
    TurnDeltaSchema,
    TurnIdSchema,
    TurnProblemSchema,
    TypingEventSchema,
)


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event that clients send."""

    data: type[Schema]
    acknowledgement: type[Schema]
    summary: str


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event that the server sends."""

    data: type[Schema]
    summary: str


@dataclass(frozen=True, slots=True)
class SocketNamespace:
    """A namespace, and the scope that an API key needs for it."""

    scope: str
    summary: str
    client_events: dict[str, ClientEvent]
    server_events: dict[str, ServerEvent]


TOKEN = ClientEvent(TokenSchema, EmptySchema, "Renew the connection with another token of the same user.")
CLOSING = ServerEvent(ClosingSchema, "The connection ends.")

ROOMS = SocketNamespace(
    "rooms",
    "Rooms: messages, changes, presence and typing.",
    {
        "join": ClientEvent(JoinRoomSchema, JoinedRoomSchema, "Follow a room, and get its changes since a `rev`."),
        "leave": ClientEvent(RoomIdSchema, EmptySchema, "Stop following a room; the membership stays."),
        "message": ClientEvent(SocketMessageSchema, RoomMessageSchema, "Write a message to a room."),
        "read": ClientEvent(SocketReadSchema, EmptySchema, "Mark the messages of a room up to one as read."),
        "typing": ClientEvent(RoomIdSchema, EmptySchema, "Let the other members of a room see that the user types."),
        "token": TOKEN,
    },
    {
        "message": ServerEvent(RoomMessageSchema, "A new message of a room that was joined."),
        "changed": ServerEvent(ChangedInRoomSchema, "Any other change of a room that was joined."),
        "bot_delta": ServerEvent(BotDeltaSchema, "The next piece of an answer in a room."),
        "bot_done": ServerEvent(BotDoneSchema, "An answer in a room has ended."),
        "typing": ServerEvent(TypingEventSchema, "Another member types."),
        "presence": ServerEvent(PresenceEventSchema, "Users came into a room, or left it."),
        "removed": ServerEvent(RoomIdSchema, "The user is no member of a room any more, or it is gone."),
        "closing": CLOSING,
    },
)
CHAT = SocketNamespace(
    "chat",
    "Personal chat: turns, sent, followed from any offset and cancelled.",
    {
        "send": ClientEvent(SendSchema, TurnSchema, "Send a message to the bot, and follow its answer."),
        "follow": ClientEvent(FollowSchema, EmptySchema, "Follow a turn from an offset on."),
        "cancel": ClientEvent(TurnIdSchema, EmptySchema, "End a running turn; its text so far stays."),
        "token": TOKEN,
    },
    {
        "delta": ServerEvent(TurnDeltaSchema, "The next piece of an answer."),
        "done": ServerEvent(TurnSchema, "A turn with its answer, the last event of it."),
        "error": ServerEvent(TurnProblemSchema, "A turn without an answer, the last event of it."),
        "closing": CLOSING,
    },
)
NAMESPACES = {"/rooms": ROOMS, "/chat": CHAT}
