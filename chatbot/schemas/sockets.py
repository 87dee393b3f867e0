"""Events of sockets."""

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from .fields import NO_NUL
from .rooms import MAX_NUMBER, NewRoomMessageSchema, ReadSchema


class RoomIdSchema(Schema):
    """The room of a socket's event."""

    room_id = fields.UUID(required=True)


class JoinRoomSchema(RoomIdSchema):
    """A room to follow over a socket."""

    since_rev = fields.Integer(strict=True, validate=Range(0, MAX_NUMBER))


class SocketMessageSchema(RoomIdSchema, NewRoomMessageSchema):
    """A message to a room over a socket."""


class SocketReadSchema(RoomIdSchema, ReadSchema):
    """How far a member has read a room."""


class TokenSchema(Schema):
    """A credential of the caller's."""

    token = fields.String(required=True, validate=Length(1, 4_000), metadata=NO_NUL)


class RoomUserSchema(Schema):
    """A user as the members of a room see them."""

    id = fields.UUID(required=True)
    username = fields.String(required=True)


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
