"""Budgets of users and API keys."""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range

from chatbot.schemas.fields import Moment

METRICS = ["turns", "tokens", "micro_usd"]
WINDOWS = ["day", "month", "ever"]
MAX_LIMIT = 10**15
AMOUNT: dict[str, Any] = {"strict": True, "required": True}


class LimitSchema(Schema):
    """The largest use of a metric in a window."""

    metric = fields.String(
        required=True,
        validate=OneOf(METRICS),
        metadata={
            "description": "`micro_usd` are millionths of a dollar; a token of a model without a price costs one.",
            "example": "tokens",
        },
    )
    window = fields.String(
        required=True,
        validate=OneOf(WINDOWS),
        metadata={"description": "A day or a month in UTC, or all time.", "example": "month"},
    )
    limit = fields.Integer(strict=True, required=True, validate=Range(0, MAX_LIMIT), metadata={"example": 2_000_000})


class BudgetSchema(LimitSchema):
    """A budget: its limit, and the used and reserved parts."""

    applies_to = fields.String(required=True, metadata={"enum": ["user", "api_key"]})
    used = fields.Integer(**AMOUNT, metadata={"description": "By turns that have ended in this window."})
    reserved = fields.Integer(**AMOUNT, metadata={"description": "By running turns."})
    remaining = fields.Integer(**AMOUNT)
    resets_at = Moment(required=True, allow_none=True, metadata={"description": "null for the window `ever`."})


class BudgetListSchema(Schema):
    """The budgets that apply to the caller."""

    items = fields.List(fields.Nested(BudgetSchema), required=True)
