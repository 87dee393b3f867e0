"""Administration: accounts of others, the audit log and the access log."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf

from chatbot.schemas.accounts.budgets import BudgetSchema, LimitSchema
from chatbot.schemas.fields import NO_NUL, Moment, TrueOrFalse, not_blank, search_query
from chatbot.schemas.knowledge import PageSchema

from .auth import UserSchema

ROLES = ["user", "admin"]
MAX_BUDGETS = 9  # three metrics in three windows
ACTIONS = ["user_changed", "sessions_ended", "turn_read", "trace_read"]


class ManagedUserSchema(UserSchema):
    """An account as administrators see it."""

    disabled = fields.Boolean(required=True)
    budgets = fields.List(fields.Nested(BudgetSchema), required=True)


class ManagedUserListSchema(Schema):
    """A page of accounts."""

    items = fields.List(fields.Nested(ManagedUserSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ManagedUserQuerySchema(PageSchema):
    """The accounts to list."""

    q = search_query("A part of the username or the e-mail address.")
    role = fields.String(validate=OneOf(ROLES), metadata={"description": "Accounts with this role."})
    disabled = fields.Boolean(metadata={"description": "Accounts that are disabled, or that are not."})


class UserChangeSchema(Schema):
    """The changes of an account; each may be left out."""

    role = fields.String(validate=OneOf(ROLES), metadata={"example": "user"})
    disabled = TrueOrFalse(metadata={"description": "Ends all its sessions; its API keys open nothing meanwhile."})
    budgets = fields.List(
        fields.Nested(LimitSchema),
        validate=Length(max=MAX_BUDGETS),
        metadata={"description": "All budgets of the account; those that it has and that are not named are removed."},
    )

    @validates_schema
    def check_budgets(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse two limits of the same metric and window."""
        keys = [(limit["metric"], limit["window"]) for limit in data.get("budgets", ())]
        if len(set(keys)) < len(keys):
            raise ValidationError("Name each metric and window once.", "budgets")

    @validates_schema
    def check_change(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a body without a change."""
        if not data:
            raise ValidationError("Name what to change.")


class AuditQuerySchema(PageSchema):
    """The part of the audit log to list."""

    user_id = fields.UUID(metadata={"description": "Acts about this user."})


class ReasonSchema(Schema):
    """The reason for which a user's data is read."""

    class Meta:
        unknown = "exclude"

    reason = fields.String(
        required=True,
        validate=[Length(3, 500), not_blank],
        metadata=NO_NUL | {"description": "Shown in the user's access log.", "example": "Ticket 4711"},
    )


class AccessSchema(Schema):
    """An act of an administrator."""

    id = fields.UUID(required=True)
    at = Moment(required=True)
    actor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The username; null of commands."},
    )
    action = fields.String(required=True, metadata={"enum": ACTIONS})
    reason = fields.String(required=True, allow_none=True)
    details = fields.Dict(required=True)


class AccessListSchema(Schema):
    """A page of acts by which administrators read the caller's data."""

    items = fields.List(fields.Nested(AccessSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class AuditEntrySchema(AccessSchema):
    """An act of an administrator, and the user that it is about."""

    actor_id = fields.UUID(required=True, allow_none=True)
    user_id = fields.UUID(required=True, allow_none=True)


class AuditListSchema(Schema):
    """A page of the audit log."""

    items = fields.List(fields.Nested(AuditEntrySchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
