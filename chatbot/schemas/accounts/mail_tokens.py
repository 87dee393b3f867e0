"""Tokens of mails' links and codes, and new addresses."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, Regexp

from chatbot.schemas.fields import MAX_EMAIL_LENGTH, NO_NUL, Email, Trimmed

from .auth import PASSWORD

ADDRESS = Length(1, MAX_EMAIL_LENGTH)
CODE = Regexp(r"^[0-9]{6}\Z", error="Six digits.")
TOKEN_EXAMPLE = {"example": "the token behind # in the link"}


class PasswordResetSchema(Schema):
    """The account with a forgotten password."""

    email = Trimmed(required=True, validate=ADDRESS, metadata=NO_NUL | {"example": "ada@example.com"})


class MailTokenSchema(Schema):
    """The token of a mail's link, or its code."""

    token = fields.String(validate=Length(1, 200), metadata=NO_NUL | TOKEN_EXAMPLE)
    code = fields.String(validate=CODE, metadata={"description": "In place of `token`; needs a login."})

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse both and neither."""
        if ("token" in data) == ("code" in data):
            raise ValidationError({"token": ["Send either `token` or `code`."]})


class PasswordResetConfirmSchema(MailTokenSchema):
    """The token or the code of a mail, and the new password."""

    code = fields.String(validate=CODE, metadata={"description": "In place of `token`, with `email`."})
    email = Trimmed(validate=ADDRESS, metadata=NO_NUL)
    new_password = fields.String(
        required=True,
        load_only=True,
        validate=PASSWORD,
        metadata=NO_NUL | {"format": "password", "example": "staple battery horse"},
    )

    @validates_schema
    def check_email(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a code without its account, and an account without a code."""
        if ("code" in data) != ("email" in data):
            raise ValidationError({"email": ["Goes with `code`."]})


class EmailChangeSchema(Schema):
    """A new e-mail address, and the password."""

    email = Email(required=True, metadata={"example": "ada.lovelace@example.com"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=Length(1, 1024),
        metadata=NO_NUL | {"format": "password", "example": "correct horse battery"},
    )
