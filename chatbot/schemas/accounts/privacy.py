"""The deletion of an account and its receipt."""

from marshmallow import Schema, fields
from marshmallow.validate import Length

from chatbot.schemas.fields import NO_NUL, Moment


class AccountDeletionSchema(Schema):
    """The proof that an account's owner deletes it."""

    password = fields.String(
        required=True,
        load_only=True,
        validate=Length(1, 1024),
        metadata=NO_NUL | {"format": "password", "example": "staple battery horse"},
    )


class ErasureRequestedSchema(Schema):
    """The receipt of an account that is deleted."""

    receipt_id = fields.UUID(required=True, metadata={"description": "For `/api/erasures/{receipt_id}/`."})


class ErasureSchema(Schema):
    """How far the erasure of an account is."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, metadata={"enum": ["pending", "completed"]})
    requested_at = Moment(required=True)
    erased_at = Moment(
        required=True, allow_none=True, metadata={"description": "When the last row of the account was deleted."}
    )
    completed_at = Moment(
        required=True, allow_none=True, metadata={"description": "When the copies in indexes and files were gone too."}
    )
    removed = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        allow_none=True,
        metadata={"description": "Rows by their kinds in an export; null before they are counted."},
    )
    pending = fields.List(
        fields.String(metadata={"enum": ["rows", "copies"]}),
        required=True,
        metadata={"description": "What is left to do."},
    )
