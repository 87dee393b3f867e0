"""Shares of conversations, and the view of their readers."""

from marshmallow import Schema, fields
from marshmallow.validate import Range

from .chat import STATUSES
from .fields import Items, Moment

MAX_SECONDS = 90 * 86_400
DEFAULT_SECONDS = 30 * 86_400


class NewShareSchema(Schema):
    """How long a share lives, and where it ends."""

    expires_in = fields.Integer(
        strict=True,
        load_default=DEFAULT_SECONDS,
        validate=Range(1, MAX_SECONDS),
        metadata={"description": "Seconds until the share ends: up to 90 days, 30 by default."},
    )
    until_turn_id = fields.UUID(metadata={"description": "The last turn to be shown; without it, all are."})


class ShareSchema(Schema):
    """A share of a conversation."""

    id = fields.UUID(required=True)
    title = fields.String(required=True, allow_none=True, metadata={"description": "As its readers see it."})
    created_at = Moment(required=True)
    expires_at = Moment(required=True)


class MadeShareSchema(ShareSchema):
    """A new share with its token."""

    token = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "For `/api/shared/{token}/`; null where an Idempotency-Key comes again."},
    )


class ShareListSchema(Schema):
    """One page of the shares of a conversation."""

    items = fields.List(fields.Nested(ShareSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class SharedCitationSchema(Schema):
    """A part of a document; its title, page and quote are null unless all users may read the document."""

    marker = fields.Integer(required=True, allow_none=True)
    title = fields.String(required=True, allow_none=True)
    page = fields.Integer(required=True, allow_none=True)
    quote = fields.String(required=True, allow_none=True)
    supported = fields.Boolean(required=True)
    answer_spans = fields.List(fields.List(fields.Integer()), required=True)


class SharedTurnSchema(Schema):
    """A message and its answer."""

    user_message = fields.String(required=True)
    bot_response = fields.String(required=True)
    status = fields.String(required=True, metadata={"enum": STATUSES})
    created_at = Moment(required=True)
    completed_at = Moment(required=True, allow_none=True)
    citations = fields.List(fields.Nested(SharedCitationSchema), required=True)


class SharedConversationSchema(Schema):
    """One page of a shared conversation, as it was when it was shared."""

    title = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True, metadata={"description": "When it was shared."})
    expires_at = Moment(required=True)
    items = Items(fields.Nested(SharedTurnSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
