"""Conversations and their settings."""

from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from chatbot.rag.text.normalization import casefold_nfkc, nfc

from .chat import MAX_COLLECTIONS, TurnSchema
from .fields import (
    CURSOR,
    LIMIT,
    NO_NUL,
    BoundedList,
    Identifiers,
    Items,
    Moment,
    TrueOrFalse,
    external_id,
    instructions,
    not_blank,
    search_query,
)

MAX_TITLE_LENGTH = 200
MAX_TAGS = 20
MAX_TAG_LENGTH = 50


def has_no_repetition(items: list[Any]) -> None:
    """Refuse a list that has an item twice."""
    if len(set(items)) != len(items):
        raise ValidationError("Has an item twice.")


class Tag(fields.String):
    """A tag in its composed form (NFC): keyboards differ in how they send an accent."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return nfc(super()._deserialize(value, attr, data, **kwargs))


class Tags(BoundedList):
    """Tags of a conversation, no two of which differ in case or form (NFKC) alone."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        tags = super()._deserialize(value, attr, data, **kwargs)
        has_no_repetition([casefold_nfkc(tag) for tag in tags])
        return tags


class NewConversationSchema(Schema):
    """The settings of a new conversation; each may be left out."""

    title = fields.String(
        validate=[Length(1, MAX_TITLE_LENGTH), not_blank], allow_none=True, metadata=NO_NUL | {"example": "Holidays"}
    )
    external_id = external_id(allow_none=True)
    tags = Tags(
        Tag(validate=[Length(1, MAX_TAG_LENGTH), not_blank], metadata=NO_NUL),
        Length(max=MAX_TAGS),
        metadata={"description": "No two may differ in case alone; in the user's order.", "uniqueItems": True},
    )
    collection_ids = BoundedList(
        fields.UUID(),
        Length(max=MAX_COLLECTIONS),
        metadata={"description": "Where its messages look for passages, unless they say it themselves."},
    )
    instructions = instructions(allow_none=True)


class ConversationChangeSchema(NewConversationSchema):
    """Settings to change: those that are given."""

    pinned = TrueOrFalse(metadata={"description": "The purge of old turns leaves it alone."})
    archived = TrueOrFalse(metadata={"description": "Lists leave it out, unless they ask for it."})
    read_turn_id = fields.UUID(
        allow_none=True, metadata={"description": "The turn of this conversation up to which it was read."}
    )


class ConversationSchema(Schema):
    """A conversation."""

    id = fields.UUID(required=True)
    external_id = fields.String(required=True, allow_none=True)
    title = fields.String(
        required=True, allow_none=True, metadata={"description": "At first the beginning of the first message."}
    )
    title_source = fields.String(required=True, allow_none=True, metadata={"enum": ["auto", "user", None]})
    pinned = fields.Boolean(required=True)
    archived = fields.Boolean(required=True)
    tags = fields.List(fields.String(), required=True)
    collection_ids = Identifiers(fields.UUID(), required=True)
    instructions = fields.String(required=True, allow_none=True)
    turns = fields.Integer(required=True)
    last_turn_at = Moment(required=True, allow_none=True)
    running_turn_id = fields.UUID(required=True, allow_none=True)
    read_turn_id = fields.UUID(required=True, allow_none=True)
    unread = fields.Boolean(required=True, metadata={"description": "An answer ended after `read_turn_id`."})
    forked_from = fields.UUID(required=True, allow_none=True)
    revision = fields.Integer(required=True, metadata={"description": "Rises with each change of its settings."})
    created_at = Moment(required=True)
    updated_at = Moment(required=True)


class ForkSchema(Schema):
    """Where a fork ends."""

    turn_id = fields.UUID(metadata={"description": "The last turn to be copied; without it, all are."})


class ConversationsQuerySchema(Schema):
    """Which conversations, and which page of them."""

    class Meta:
        unknown = "exclude"

    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    cursor = fields.String(validate=Length(1, 200), metadata=CURSOR)
    archived = fields.Boolean(load_default=False, metadata={"description": "`true`: the archived ones alone."})
    pinned = fields.Boolean(metadata={"description": "The pinned ones alone, or all others."})
    tag = Tag(validate=Length(1, MAX_TAG_LENGTH), metadata=NO_NUL | {"description": "Those with this tag alone."})
    q = search_query("Words: those whose title, or one of whose turns, has all of them; else those that have some.")


class ExportQuerySchema(Schema):
    """The format of an export."""

    class Meta:
        unknown = "exclude"

    format = fields.String(
        load_default="json",
        validate=OneOf(["json", "markdown"]),
        metadata={"description": "`json` has all of the turns, `markdown` their texts and sources."},
    )


class ExportSchema(Schema):
    """A conversation with its turns, the oldest first."""

    conversation = fields.Nested(ConversationSchema, required=True)
    turns = fields.List(fields.Nested(TurnSchema), required=True)


class ConversationListSchema(Schema):
    """One page of conversations."""

    items = Items(fields.Nested(ConversationSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
