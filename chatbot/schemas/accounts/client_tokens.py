"""Client tokens, in and out."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, Range

from chatbot.schemas.fields import NO_NUL, BoundedList, not_blank

from .budgets import MAX_LIMIT, LimitSchema

MAX_COLLECTIONS = 50


class NewClientTokenSchema(Schema):
    """A token for a user of the caller's own service."""

    subject = fields.String(
        required=True,
        validate=[Length(1, 255), not_blank],
        metadata=NO_NUL | {"description": "The service's own id of the user.", "example": "customer-4711"},
    )
    expires_in = fields.Integer(
        strict=True,
        load_default=600,
        validate=Range(60, 3600),
        metadata={"description": "Seconds.", "example": 600},
    )
    collection_ids = BoundedList(
        fields.UUID(),
        Length(0, MAX_COLLECTIONS),
        load_default=[],
        metadata={"description": "The caller's collections that the user may be answered from, and no others."},
    )
    max_turns = fields.Integer(
        strict=True, validate=Range(1, MAX_LIMIT), metadata={"description": "Of this token; or a `budget`."}
    )
    budget = fields.Nested(LimitSchema, metadata={"description": "Of this token; or `max_turns`."})

    @validates_schema
    def name_one_bound(self, values: dict[str, Any], **_: Any) -> None:
        """Refuse two bounds."""
        if "max_turns" in values and "budget" in values:
            raise ValidationError("Send max_turns or budget.", "budget")


class ClientTokenSchema(Schema):
    """A token, which is in this answer alone."""

    token = fields.String(required=True)
    expires_in = fields.Integer(required=True)
    user_id = fields.UUID(required=True)
