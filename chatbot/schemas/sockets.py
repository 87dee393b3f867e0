"""Data of the events of sockets."""

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from .chat import MessageSchema
from .fields import NO_NUL, not_blank
from .problem import ProblemSchema
from .room_messages import MAX_CLIENT_ID_LENGTH, MAX_SAFE_INTEGER, NewRoomMessageSchema, ReadSchema, RoomUserSchema
from .rooms import ChangedThingSchema, RoomSchema

MAX_OFFSET = 999_999_999
CLOSING_CODES = ["token_expired", "unauthenticated", "slow_consumer", "draining", "cursor_expired"]


class RoomIdSchema(Schema):
    """The room of a socket's event."""

    room_id = fields.UUID(required=True)


class JoinRoomSchema(RoomIdSchema):
    """A room to follow over a socket."""

    since_rev = fields.Integer(strict=True, validate=Range(0, MAX_SAFE_INTEGER))


class SocketMessageSchema(RoomIdSchema, NewRoomMessageSchema):
    """A message to a room over a socket."""


class SocketReadSchema(RoomIdSchema, ReadSchema):
    """How far a member has read a room."""


class TokenSchema(Schema):
    """A credential of the caller's."""

    token = fields.String(required=True, validate=Length(1, 4_000), metadata=NO_NUL)


class SendSchema(MessageSchema):
    """A message to the bot over a socket, which follows the answer."""

    class Meta:
        exclude = ("stream",)

    client_id = fields.String(
        validate=[Length(1, MAX_CLIENT_ID_LENGTH), not_blank],
        metadata={"description": "As the Idempotency-Key of `POST /api/chat/`: the same one gets the same turn."},
    )


class TurnIdSchema(Schema):
    """The turn of a socket's event."""

    turn_id = fields.UUID(required=True)


class FollowSchema(TurnIdSchema):
    """A turn to follow over a socket."""

    offset = fields.Integer(
        strict=True,
        load_default=0,
        validate=Range(0, MAX_OFFSET),
        metadata={"description": "Code points of the answer that the client has."},
    )


class TurnDeltaSchema(TurnIdSchema):
    """The data of an event `delta` of a socket: the next piece of an answer."""

    offset = fields.Integer(required=True, metadata={"description": "Code points of the answer before this piece."})
    text = fields.String(required=True)


class TurnProblemSchema(ProblemSchema):
    """The data of an event `error` of a socket: a turn ended without an answer, or cannot be followed any more."""

    turn_id = fields.UUID(required=True)


class TypingEventSchema(Schema):
    """The data of an event `typing`: another member writes a message."""

    room_id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    username = fields.String(required=True)
    expires_in = fields.Integer(
        required=True, metadata={"description": "Seconds for which to show it, unless it comes again."}
    )


class PresenceEventSchema(Schema):
    """The data of an event `presence`: users that came with their first socket, and that left with the last."""

    room_id = fields.UUID(required=True)
    joins = fields.List(fields.Nested(RoomUserSchema), required=True)
    leaves = fields.List(fields.Nested(RoomUserSchema), required=True)


class JoinedRoomSchema(Schema):
    """The room that was joined, and its changes since the `rev` that the client knew."""

    room = fields.Nested(RoomSchema, required=True)
    changes = fields.List(fields.Nested(ChangedThingSchema), required=True)
    rev = fields.Integer(required=True, metadata={"description": "How far the changes go."})
    complete = fields.Boolean(required=True, metadata={"description": "Whether those are all; else read on by REST."})
    present = fields.List(
        fields.Nested(RoomUserSchema),
        required=True,
        metadata={"description": "Users with a socket in the room; `presence` has the changes from here on."},
    )


class ClosingSchema(Schema):
    """The data of an event `closing`: the connection ends."""

    code = fields.String(required=True, metadata={"enum": CLOSING_CODES})
    reconnect = fields.Boolean(required=True, metadata={"description": "Whether to connect again."})
    after = fields.Float(required=True, metadata={"description": "Seconds until then."})


class EmptySchema(Schema):
    """An empty object: it is done."""
