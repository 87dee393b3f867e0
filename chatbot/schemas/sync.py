"""The feed of a user's changes."""

from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, Range

from .chat import MAX_WAIT_SECONDS
from .fields import NO_NUL, Moment

TYPES = [
    "collection",
    "conversation",
    "document",
    "membership",
    "read_mark",
    "room",
    "room_message",
    "turn",
]
MAX_ITEMS = 1_000
MAX_WINDOW = 90
DATA = {
    "description": "The thing as it is now; not there where `op` is `delete`.",
    "anyOf": [
        {"$ref": f"#/components/schemas/{name}"}
        for name in (
            "Turn",
            "Conversation",
            "Document",
            "Collection",
            "Room",
            "RoomMessage",
            "RoomMember",
            "ReadMark",
            "Watermark",
        )
    ],
}


class Types(fields.String):
    """Names of types with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        names = str(super()._deserialize(value, attr, data, **kwargs)).split(",")
        if not set(names) <= set(TYPES):
            raise ValidationError(f"Must be some of {', '.join(TYPES)}, with commas between them.")
        return frozenset(names)


class SyncEventsQuerySchema(Schema):
    """Where the stream of changes begins."""

    class Meta:
        unknown = "exclude"

    since = fields.String(
        validate=Length(1, 200),
        metadata=NO_NUL | {"description": "A `next_cursor`, behind which to go on, unless `Last-Event-ID` is given."},
    )


class SyncQuerySchema(Schema):
    """Which part of the feed."""

    class Meta:
        unknown = "exclude"

    since = fields.String(
        validate=Length(1, 200), metadata=NO_NUL | {"description": "The `next_cursor` of before; without it, all."}
    )
    limit = fields.Integer(
        load_default=500,
        validate=Range(1, MAX_ITEMS),
        metadata={"description": "Changes in an answer; that of a turn may come with its conversation."},
    )
    types = Types(metadata={"description": f"Some of `{','.join(TYPES)}`; all without it."})
    wait = fields.Integer(
        load_default=0,
        validate=Range(0, MAX_WAIT_SECONDS),
        metadata={"description": "Seconds in which to wait for a change where there is none."},
    )
    window = fields.Integer(
        load_default=20,
        validate=Range(0, MAX_WINDOW),
        metadata={
            "description": "Without `since`: the newest conversations that come first, with their last 10 turns."
        },
    )


class WatermarkSchema(Schema):
    """How far the purge came: turns from before are gone, but those of some conversations."""

    before = Moment(required=True)
    kept_conversation_ids = fields.List(fields.UUID(), required=True)


class SyncItemSchema(Schema):
    """A thing that changed, in the state that it has now, or that it is gone."""

    type = fields.String(required=True, metadata={"enum": [*TYPES, "watermark"]})
    op = fields.String(required=True, metadata={"enum": ["upsert", "delete"]})
    id = fields.UUID(required=True, allow_none=True)
    revision = fields.Integer(required=True, metadata={"description": "Rises with each change of the user's data."})
    data = fields.Raw(metadata=DATA)


class SyncSchema(Schema):
    """A part of the feed of changes."""

    items = fields.List(fields.Nested(SyncItemSchema), required=True)
    next_cursor = fields.String(required=True)
    more = fields.Boolean(required=True, metadata={"description": "`next_cursor` has more to tell at once."})


class RunningEventSchema(Schema):
    """The data of an event `running`: a running turn, to be followed from its start."""

    turn_id = fields.UUID(required=True)
    conversation_id = fields.UUID(required=True)
