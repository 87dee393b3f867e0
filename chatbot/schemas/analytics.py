"""Reports of usage."""

from datetime import date, datetime
from typing import Any

from marshmallow import Schema, fields, pre_dump
from marshmallow.validate import Length, OneOf, Range

from .chat import STATUSES
from .fields import CURSOR, LIMIT, NO_NUL, Items, Moment, search_query, to_dict
from .problem import CODES, of_turn_error

MAX_TIME_LENGTH = 40
BUCKETS = ["hour", "day", "week", "month"]
ENTRIES = ["api", "v1", "ui", "room"]
NOT_ANSWERED = ("failed", "interrupted")
SETTLED_OR_OPEN = [status for status in STATUSES if status != "streaming"]  # the ledger does not know which
GROUPS = ["model", "api_key", "collection", "entry"]
TIME = "A day, or a time in ISO 8601, in `tz` unless it has a zone; `to` itself is outside."


class DayOrTime(fields.String):
    """A day or a time in ISO 8601, as a date or a datetime."""

    default_error_messages = {"time": "Must be a day or a time in ISO 8601."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, metadata=NO_NUL | {"description": TIME})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > MAX_TIME_LENGTH:
            raise self.make_error("time")
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise self.make_error("time") from error


class PeriodQuerySchema(Schema):
    """The period of a report."""

    class Meta:
        unknown = "exclude"

    start = DayOrTime(data_key="from")
    end = DayOrTime(data_key="to")
    tz = fields.String(
        load_default="UTC",
        validate=Length(1, 64),
        metadata=NO_NUL | {"description": "The time zone of days and weeks.", "example": "Europe/Berlin"},
    )


class UsageQuerySchema(PeriodQuerySchema):
    """The period of a report of usage, its buckets and groups."""

    bucket = fields.String(
        load_default="day", validate=OneOf(BUCKETS), metadata={"description": "The size of the buckets."}
    )
    group_by = fields.String(
        validate=OneOf(GROUPS),
        metadata={"description": "`collection`: null for turns that named several or none."},
    )


class UserUsageQuerySchema(PeriodQuerySchema):
    """The period of a list of users, and a page of it."""

    q = search_query("A part of the username or the e-mail address.")
    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    cursor = fields.String(validate=Length(max=100), metadata=NO_NUL | CURSOR)


class TurnUsageQuerySchema(PeriodQuerySchema):
    """The period of a list of turns, and a page of it."""

    status = fields.String(validate=OneOf(SETTLED_OR_OPEN), metadata={"description": "Turns of this status alone."})
    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    cursor = fields.String(validate=Length(max=100), metadata=NO_NUL | CURSOR)


class PercentilesSchema(Schema):
    """Percentiles of milliseconds, at most 2.5 % away."""

    p50 = fields.Integer(required=True, allow_none=True)
    p95 = fields.Integer(required=True, allow_none=True)


class TurnSumsSchema(Schema):
    """Sums of turns."""

    turns = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)
    prompt_tokens = fields.Integer(required=True)
    completion_tokens = fields.Integer(required=True)
    micro_usd = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Millionths of a dollar; null where no model has a price."},
    )
    first_text_ms = fields.Nested(PercentilesSchema, required=True)


class BucketSchema(TurnSumsSchema):
    """The usage of a time, of one model or another group."""

    start = fields.AwareDateTime(format="iso", required=True)
    group = fields.String(
        required=True, allow_none=True, metadata={"description": "The model, id or entry; null without `group_by`."}
    )

    @pre_dump
    def flatten(self, bucket: Any, **_: Any) -> dict[str, Any]:
        """Put the sums beside the start."""
        return {"start": bucket.start, "group": bucket.group, **to_dict(bucket.usage)}


class UsageReportSchema(Schema):
    """Usage per bucket, and the total; buckets without turns are left out."""

    buckets = Items(fields.Nested(BucketSchema), required=True)
    total = fields.Nested(TurnSumsSchema, required=True)


class OverviewSchema(UsageReportSchema):
    """The usage of all users."""

    users = fields.Integer(required=True, metadata={"description": "The number of users who sent a message."})


class UserUsageSchema(Schema):
    """The usage of a user; that of deleted accounts is together under null."""

    user_id = fields.UUID(required=True, allow_none=True)
    username = fields.String(required=True, allow_none=True)
    turns = fields.Integer(required=True)
    tokens = fields.Integer(required=True)
    micro_usd = fields.Integer(required=True, allow_none=True)
    last_at = Moment(required=True)


class UserUsageListSchema(Schema):
    """A page of users by their cost."""

    items = Items(fields.Nested(UserUsageSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ModelUsageSchema(TurnSumsSchema):
    """The usage of a model."""

    model = fields.String(required=True, allow_none=True)

    @pre_dump
    def flatten(self, usage: Any, **_: Any) -> dict[str, Any]:
        """Put the sums beside the model."""
        return {"model": usage.model, **to_dict(usage.usage)}


class ModelUsageListSchema(Schema):
    """The usage of each model."""

    items = fields.List(fields.Nested(ModelUsageSchema), required=True)


class ErrorCountSchema(Schema):
    """The turns that ended with an error."""

    code = fields.String(required=True)
    turns = fields.Integer(required=True)
    last_at = Moment(required=True)
    last_turn_id = fields.UUID(required=True)


class ErrorCountListSchema(Schema):
    """Errors with the number of turns that ended with each."""

    items = fields.List(fields.Nested(ErrorCountSchema), required=True)


class TurnReferenceSchema(Schema):
    """A turn to which a report refers."""

    turn_id = fields.UUID(required=True)
    user_id = fields.UUID(required=True, allow_none=True)
    at = Moment(required=True)
    rating = fields.Integer(required=True, allow_none=True)


class TurnUsageSchema(Schema):
    """The usage of a turn, without its text. Null is unknown, or does not apply."""

    turn_id = fields.UUID(required=True)
    at = Moment(required=True)
    user_id = fields.UUID(required=True, allow_none=True)
    api_key_id = fields.UUID(required=True, allow_none=True)
    conversation_id = fields.UUID(required=True, allow_none=True)
    room_id = fields.UUID(required=True, allow_none=True)
    entry = fields.String(required=True, metadata={"enum": ENTRIES})
    model = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, metadata={"enum": SETTLED_OR_OPEN})
    code = fields.String(required=True, allow_none=True, metadata=CODES)
    prompt_tokens = fields.Integer(required=True, allow_none=True)
    completion_tokens = fields.Integer(required=True, allow_none=True)
    micro_usd = fields.Integer(required=True, allow_none=True)
    first_text_ms = fields.Integer(required=True, allow_none=True)
    total_ms = fields.Integer(required=True, allow_none=True)
    passages = fields.Integer(required=True, allow_none=True)
    grounded = fields.Float(required=True, allow_none=True)
    rating = fields.Integer(required=True, allow_none=True)

    @pre_dump
    def name_code(self, turn: Any, **_: Any) -> dict[str, Any]:
        """Give the code of an error in place of its class."""
        code = of_turn_error(turn.error).code if turn.status in NOT_ANSWERED else None
        return {**to_dict(turn), "code": code}


class TurnUsageListSchema(Schema):
    """A page of turns, the newest first."""

    items = Items(fields.Nested(TurnUsageSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class KnowledgeUsageSchema(Schema):
    """How well answers are grounded."""

    turns = fields.Integer(required=True, metadata={"description": "The number of turns with retrieval."})
    with_passages = fields.Integer(required=True)
    grounded = fields.Float(
        required=True, allow_none=True, metadata={"description": "The mean share of answers that citations support."}
    )
    unanswered = fields.List(fields.Nested(TurnReferenceSchema), required=True)


class FeedbackUsageSchema(Schema):
    """Ratings of answers, with the newest turns that have one."""

    up = fields.Integer(required=True)
    down = fields.Integer(required=True)
    items = fields.List(fields.Nested(TurnReferenceSchema), required=True)


class BreakerCountSchema(Schema):
    """The breakers of a model."""

    model = fields.String(required=True)
    open = fields.Integer(required=True, metadata={"description": "Processes that have stopped asking the model."})


class SocketCountSchema(Schema):
    """The sockets of a namespace."""

    namespace = fields.String(required=True)
    connections = fields.Integer(required=True)


class LoadEventSchema(Schema):
    """The data of an event `load`: the gauges of all processes of a server."""

    at = Moment(required=True)
    running_turns = fields.Integer(required=True)
    turn_slots = fields.Integer(required=True, metadata={"description": "The turns that may run at a time."})
    documents_waiting = fields.Integer(
        required=True, metadata={"description": "Documents that wait or are processed, on all servers."}
    )
    database_connections = fields.Integer(required=True)
    breakers = fields.List(fields.Nested(BreakerCountSchema), required=True)
    sockets = fields.List(fields.Nested(SocketCountSchema), required=True)
