"""Accounts and sessions, in and out."""

from datetime import UTC
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from chatbot.schemas.accounts.budgets import BudgetSchema, LimitSchema
from chatbot.schemas.fields import MAX_EMAIL_LENGTH, NO_NUL, BoundedList, Email, Moment, Trimmed

USERNAME = [
    Length(3, 32),
    Regexp(r"^[\w][\w.-]*\Z", error="Letters, digits, '_', '-' and '.' only, beginning with a letter or digit."),
]
PASSWORD = Length(8, 1024)
SCOPES = ["chat", "history", "knowledge:read", "knowledge:write", "rooms", "v1", "analytics", "mint", "admin"]


class SignupSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"example": "ada@example.com"})
    username = fields.String(required=True, validate=USERNAME, metadata={"example": "ada"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=PASSWORD,
        metadata={"format": "password", "example": "correct horse battery"},
    )
    password_confirm = fields.String(
        required=True, load_only=True, metadata={"format": "password", "example": "correct horse battery"}
    )

    @validates_schema
    def check_confirmation(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a password that was mistyped once."""
        if data["password"] != data["password_confirm"]:
            raise ValidationError({"password_confirm": ["Does not match the password."]})


class LoginSchema(Schema):
    """An e-mail address and a password."""

    email = Trimmed(
        required=True, validate=Length(1, MAX_EMAIL_LENGTH), metadata=NO_NUL | {"example": "ada@example.com"}
    )
    password = fields.String(
        required=True,
        load_only=True,
        validate=Length(1, 1024),
        metadata=NO_NUL | {"format": "password", "example": "correct horse battery"},
    )


class RefreshSchema(Schema):
    """A refresh token, which is spent by this."""

    refresh_token = fields.String(
        required=True,
        validate=Length(1, 200),
        metadata=NO_NUL | {"example": "the refresh_token of your log-in", "description": "The one of the last answer."},
    )


class ProfileSchema(Schema):
    """The fields of an account that its owner may change."""

    username = fields.String(required=True, validate=USERNAME, metadata={"example": "ada.lovelace"})


class PasswordChangeSchema(Schema):
    """A password and the one that follows it."""

    current_password = fields.String(
        required=True,
        load_only=True,
        validate=Length(1, 1024),
        metadata=NO_NUL | {"format": "password", "example": "correct horse battery"},
    )
    new_password = fields.String(
        required=True,
        load_only=True,
        validate=PASSWORD,
        metadata=NO_NUL | {"format": "password", "example": "staple battery horse"},
    )


class UserSchema(Schema):
    """An account as its owner sees it."""

    id = fields.UUID(required=True)
    email = fields.String(required=True)
    username = fields.String(required=True)
    role = fields.String(required=True, metadata={"enum": ["user", "admin"]})
    email_verified = fields.Boolean(required=True)
    created_at = Moment(required=True)


class TokensSchema(Schema):
    """A new pair of tokens."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True, metadata={"enum": ["Bearer"]})
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds until the access token expires."})
    user = fields.Nested(UserSchema, required=True)


class SessionSchema(Schema):
    """A login on a device."""

    id = fields.UUID(required=True)
    device = fields.String(required=True, metadata={"example": "Firefox on Ubuntu"})
    address = fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "192.0.2.0/24", "description": "The network of the last login or refresh."},
    )
    created_at = Moment(required=True)
    last_used_at = Moment(required=True, metadata={"description": "To the minute."})
    current = fields.Boolean(required=True, metadata={"description": "Whether it is the session of this request."})


class SessionListSchema(Schema):
    """A page of sessions."""

    items = fields.List(fields.Nested(SessionSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class NewApiKeySchema(Schema):
    """A new API key."""

    name = fields.String(required=True, validate=Length(1, 100), metadata=NO_NUL | {"example": "My script"})
    scopes = BoundedList(
        fields.String(validate=OneOf(SCOPES)),
        Length(1, len(SCOPES)),
        required=True,
        metadata={"example": ["chat", "history", "v1"]},
    )
    expires_at = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        metadata={"description": "At most 365 days away; without it 90 days."},
    )
    budget = fields.Nested(LimitSchema, metadata={"description": "What its turns may use, beside the user's budgets."})


class ApiKeyRotationSchema(Schema):
    """How an API key is replaced."""

    overlap_seconds = fields.Integer(
        strict=True,
        load_default=0,
        validate=Range(0, 86_400),
        metadata={"description": "How long the old key goes on.", "example": 3600},
    )


class ApiKeySchema(Schema):
    """An API key as its owner sees it."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(metadata={"enum": SCOPES}), required=True)
    prefix = fields.String(required=True)
    last4 = fields.String(required=True)
    created_at = Moment(required=True)
    expires_at = Moment(required=True)
    last_used_at = Moment(required=True, allow_none=True, metadata={"description": "To the minute."})
    budget = fields.Nested(BudgetSchema, required=True, allow_none=True)


class IssuedApiKeySchema(ApiKeySchema):
    """A new API key with its secret."""

    secret = fields.String(
        required=True, allow_none=True, metadata={"description": "null where an Idempotency-Key comes again."}
    )


class ApiKeyListSchema(Schema):
    """A page of API keys."""

    items = fields.List(fields.Nested(ApiKeySchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
