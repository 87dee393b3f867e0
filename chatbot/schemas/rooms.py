"""Rooms, their members, invites and messages."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, pre_dump
from marshmallow.validate import Length, OneOf, Range

from .chat import MAX_COLLECTIONS
from .fields import LIMIT, NO_NUL, BoundedList, Identifiers, Items, Moment, instructions, not_blank, to_dict
from .room_messages import MAX_SAFE_INTEGER, RoomMessageSchema

MAX_NAME_LENGTH = 120
MAX_TOPIC_LENGTH = 500
MAX_INVITE_SECONDS = 30 * 86_400
DEFAULT_INVITE_SECONDS = 7 * 86_400
MAX_USES = 10_000
MAX_CHANGES = 500
ROLES = ["owner", "member", "reader"]
HISTORIES = ["joined", "all"]
BOTS = ["mention", "always", "off"]
BOT = {"description": "`mention`: the bot answers `@bot`; `always`: every message."}
HISTORY = {"description": "`joined`: members see what was written since they joined; `all`: everything."}


class NewRoomSchema(Schema):
    """A new room."""

    name = fields.String(
        required=True, validate=[Length(1, MAX_NAME_LENGTH), not_blank], metadata=NO_NUL | {"example": "Field trip"}
    )
    topic = fields.String(validate=Length(0, MAX_TOPIC_LENGTH), metadata=NO_NUL)
    history = fields.String(validate=OneOf(HISTORIES), metadata=HISTORY)
    bot = fields.String(validate=OneOf(BOTS), metadata=BOT)
    instructions = instructions(allow_none=True)
    collection_ids = BoundedList(
        fields.UUID(),
        Length(max=MAX_COLLECTIONS),
        metadata={"description": "Where the bot looks for passages; empty: where its asker does by default."},
    )


class RoomChangeSchema(NewRoomSchema):
    """Settings of a room to change: those that are given."""

    name = fields.String(
        validate=[Length(1, MAX_NAME_LENGTH), not_blank], metadata=NO_NUL | {"example": "Field trip to the lake"}
    )


class RoomSettingsSchema(Schema):
    """A room as all of its members see it."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    topic = fields.String(required=True)
    history = fields.String(required=True, metadata={"enum": HISTORIES, **HISTORY})
    bot = fields.String(required=True, metadata={"enum": BOTS, **BOT})
    instructions = fields.String(required=True, allow_none=True)
    collection_ids = Identifiers(fields.UUID(), required=True)
    members = fields.Integer(required=True)
    last_seq = fields.Integer(required=True, metadata={"description": "The number of the last message."})
    rev = fields.Integer(required=True, metadata={"description": "Rises by one with each change of the room."})
    created_at = Moment(required=True)

    @pre_dump
    def list_collections(self, room: Any, **_: Any) -> dict[str, Any]:
        """Show a list where none was set."""
        shown = to_dict(room)
        shown["collection_ids"] = shown["collection_ids"] or []
        return shown


class RoomSchema(RoomSettingsSchema):
    """A room as one of its members sees it."""

    role = fields.String(required=True, metadata={"enum": ROLES, "description": "The caller's."})
    read_seq = fields.Integer(required=True, metadata={"description": "The message up to which the caller has read."})
    unread = fields.Integer(required=True, metadata={"description": "Messages behind `read_seq`."})


class RoomListSchema(Schema):
    """One page of rooms."""

    items = Items(fields.Nested(RoomSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class RoomMemberSchema(Schema):
    """A member of a room."""

    room_id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    username = fields.String(required=True)
    role = fields.String(required=True, metadata={"enum": ROLES})
    joined_at = Moment(required=True)


class RoomMemberListSchema(Schema):
    """One page of the members of a room."""

    items = Items(fields.Nested(RoomMemberSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class RoomMembershipSchema(Schema):
    """A membership: an owner governs, a member writes, a reader reads."""

    role = fields.String(required=True, validate=OneOf(ROLES), metadata={"example": "member"})


class NewInviteSchema(Schema):
    """How long and how often an invite lets users in."""

    expires_in = fields.Integer(
        strict=True,
        load_default=DEFAULT_INVITE_SECONDS,
        validate=Range(1, MAX_INVITE_SECONDS),
        metadata={"description": "Seconds until the invite ends: up to 30 days, 7 by default."},
    )
    max_uses = fields.Integer(
        strict=True, validate=Range(1, MAX_USES), metadata={"description": "Users that it lets in; any number without."}
    )


class InviteSchema(Schema):
    """An invite to a room."""

    id = fields.UUID(required=True)
    max_uses = fields.Integer(required=True, allow_none=True)
    uses = fields.Integer(required=True)
    created_at = Moment(required=True)
    expires_at = Moment(required=True)


class MadeInviteSchema(InviteSchema):
    """A new invite with its token."""

    token = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "For `/api/rooms/join/`; null where an Idempotency-Key comes again."},
    )


class InviteListSchema(Schema):
    """One page of the open invites of a room."""

    items = fields.List(fields.Nested(InviteSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class JoinSchema(Schema):
    """The token of an invite."""

    token = fields.String(
        required=True, validate=Length(1, 200), metadata=NO_NUL | {"example": "the token of an invite"}
    )


class RoomChangesQuerySchema(Schema):
    """Which changes of a room."""

    class Meta:
        unknown = "exclude"

    since_rev = fields.Integer(
        load_default=0, validate=Range(0, MAX_SAFE_INTEGER), metadata={"description": "The last change that is known."}
    )
    limit = fields.Integer(load_default=200, validate=Range(1, MAX_CHANGES), metadata=LIMIT)


class ChangedData(fields.Raw):
    """The data of a change, as the schema of its type has them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._schemas = {"message": RoomMessageSchema(), "member": RoomMemberSchema(), "room": RoomSettingsSchema()}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else self._schemas[obj.type].dump(value)


class ChangedThingSchema(Schema):
    """A message, a member or the room itself as it is now."""

    rev = fields.Integer(required=True)
    type = fields.String(required=True, metadata={"enum": ["message", "member", "room"]})
    op = fields.String(required=True, metadata={"enum": ["upsert", "delete"]})
    id = fields.UUID(required=True, metadata={"description": "Of a member: that of the user."})
    data = ChangedData(
        required=True,
        allow_none=True,
        metadata={
            "description": "The thing; null for a member who is gone.",
            "anyOf": [
                {"$ref": f"#/components/schemas/{name}"} for name in ("RoomMessage", "RoomMember", "RoomSettings")
            ]
            + [{"type": "null"}],
        },
    )


class ChangedInRoomSchema(ChangedThingSchema):
    """The data of an event `changed`: a message, a member or the room itself as it is now."""

    room_id = fields.UUID(required=True)


class RoomChangesSchema(Schema):
    """Changes of a room in the order of `rev`, each thing once and as it is now."""

    items = Items(fields.Nested(ChangedThingSchema), required=True)
    rev = fields.Integer(required=True, metadata={"description": "The `since_rev` of the next request."})
    more = fields.Boolean(required=True)


_changed = ChangedThingSchema()


def dump_event(room_id: UUID, change: Any) -> dict[str, Any]:
    """Return the data of the event of a `RoomChange`, as streams and sockets send it."""
    changed: dict[str, Any] = _changed.dump(change)
    if change.event == "message":
        message: dict[str, Any] = changed["data"]
        return message
    if change.event == "bot_done":
        return {"room_id": room_id, "message": changed["data"]}
    return {"room_id": room_id, **changed}
