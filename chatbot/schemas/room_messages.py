"""Messages of rooms."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_dump, validates_schema
from marshmallow.validate import Length, Range

from . import problem
from .chat import MAX_MESSAGE_LENGTH, CitationSchema
from .fields import LIMIT, NO_NUL, Items, Moment, not_blank, to_dict
from .problem import TurnErrorSchema

MAX_CLIENT_ID_LENGTH = 255
MAX_SAFE_INTEGER = (1 << 53) - 1  # `Number.MAX_SAFE_INTEGER` of JavaScript
TEXT: list[Any] = [Length(1, MAX_MESSAGE_LENGTH), not_blank]
STATUSES = [
    "queued",
    "pending",
    "completed",
    "truncated",
    "filtered",
    "failed",
    "cancelled",
    "interrupted",
    "withheld",
    None,
]


class NewRoomMessageSchema(Schema):
    """A message to a room."""

    text = fields.String(required=True, validate=TEXT, metadata=NO_NUL | {"example": "Who brings the boat, @ada?"})
    client_id = fields.String(
        validate=[Length(1, MAX_CLIENT_ID_LENGTH), not_blank],
        metadata=NO_NUL | {"description": "The client's own id: a message that comes twice is stored once."},
    )
    reply_to = fields.UUID(metadata={"description": "A message of this room."})


class RoomTextSchema(Schema):
    """Another text of a message."""

    text = fields.String(required=True, validate=TEXT, metadata=NO_NUL | {"example": "Who brings the boats?"})


class RoomUserSchema(Schema):
    """A user as the members of a room see them."""

    id = fields.UUID(required=True)
    username = fields.String(required=True)


class AudienceSchema(Schema):
    """The number of members that an answer was made for, and its collections."""

    members = fields.Integer(required=True)
    collections = fields.List(fields.UUID(), required=True)


class RoomMessageSchema(Schema):
    """A message of a room."""

    id = fields.UUID(required=True)
    room_id = fields.UUID(required=True)
    seq = fields.Integer(
        required=True, metadata={"description": "Its number in the room; a member does not see each of them."}
    )
    rev = fields.Integer(required=True, metadata={"description": "The room's change that it was last changed by."})
    author = fields.Nested(
        RoomUserSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null for `bot` and `system`, or when the account is gone."},
    )
    kind = fields.String(required=True, metadata={"enum": ["message", "bot", "system"]})
    text = fields.String(required=True)
    reply_to = fields.UUID(required=True, allow_none=True)
    mentions = fields.List(fields.UUID(), required=True, metadata={"description": "Members that the text names."})
    client_id = fields.String(required=True, allow_none=True)
    turn_id = fields.UUID(required=True, allow_none=True, metadata={"description": "Of an answer: the asker's turn."})
    status = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "enum": STATUSES,
            "description": "Of an answer; `withheld`: the reader may not read its sources.",
        },
    )
    error = fields.Nested(TurnErrorSchema, required=True, allow_none=True)
    citations = fields.List(fields.Nested(CitationSchema), required=True)
    audience = fields.Nested(AudienceSchema, required=True, allow_none=True)
    withheld = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Passages left out since not all members may read them; only the asker is shown it."},
    )
    visible_to = fields.UUID(
        required=True, allow_none=True, metadata={"description": "The only member that sees it; null: all."}
    )
    edited_at = Moment(required=True, allow_none=True)
    deleted = fields.Boolean(required=True, metadata={"description": "It keeps its place without its text."})
    created_at = Moment(required=True)

    @pre_dump
    def complete(self, message: Any, **_: Any) -> dict[str, Any]:
        """Show the problem of the error's name."""
        shown = to_dict(message)
        shown["citations"] = message.citations or []
        if message.error is not None or message.status == "interrupted":
            shown["error"] = problem.of_turn_error(message.error)
        return shown


class RoomMessagesQuerySchema(Schema):
    """Which messages of a room."""

    class Meta:
        unknown = "exclude"

    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    since_seq = fields.Integer(
        validate=Range(0, MAX_SAFE_INTEGER), metadata={"description": "The first ones behind this message."}
    )
    before_seq = fields.Integer(
        validate=Range(0, MAX_SAFE_INTEGER), metadata={"description": "The last ones before this message."}
    )

    @validates_schema
    def check_direction(self, data: dict[str, object], **_: object) -> None:
        """Refuse two directions at once."""
        if "since_seq" in data and "before_seq" in data:
            raise ValidationError({"before_seq": ["Send either since_seq or before_seq."]})


class RoomMessageListSchema(Schema):
    """Messages in the order of `seq`."""

    items = Items(fields.Nested(RoomMessageSchema), required=True)
    more = fields.Boolean(
        required=True,
        metadata={"description": "More follow: behind the last one with `since_seq`, else before the first."},
    )


class ReadSchema(Schema):
    """How far a member has read."""

    seq = fields.Integer(
        required=True,
        strict=True,
        validate=Range(0, MAX_SAFE_INTEGER),
        metadata={"description": "The last message that was read; a mark does not go back.", "example": 1},
    )


class ReadMarkSchema(Schema):
    """How far the caller has read a room."""

    room_id = fields.UUID(required=True, attribute="id")
    read_seq = fields.Integer(required=True)
    unread = fields.Integer(required=True)
