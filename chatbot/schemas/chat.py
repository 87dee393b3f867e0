"""Messages and turns."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_dump, validates_schema
from marshmallow.validate import Length, OneOf, Range

from . import problem
from .fields import (
    CURSOR,
    LIMIT,
    NO_NUL,
    BoundedList,
    Identifiers,
    Items,
    Moment,
    Number,
    TrueOrFalse,
    external_id,
    instructions,
    not_blank,
    search_query,
    to_dict,
)
from .problem import TurnErrorSchema

MAX_MESSAGE_LENGTH = 32_000
MAX_COMMENT_LENGTH = 4_000
MAX_COLLECTIONS = 50
MAX_WAIT_SECONDS = 25
MAX_TOKENS = 1_000_000
GROUNDINGS = ["auto", "strict", "off"]
STREAM = {"description": "Answer with an event stream, as with `Accept: text/event-stream`."}
STATUSES = ["pending", "streaming", "completed", "truncated", "filtered", "failed", "cancelled", "interrupted"]


class MessageSchema(Schema):
    """A message to the bot; without a conversation it opens a new one."""

    message = fields.String(
        required=True,
        validate=[Length(1, MAX_MESSAGE_LENGTH), not_blank],
        metadata=NO_NUL | {"example": "What is the capital of France?"},
    )
    conversation_id = fields.UUID()
    external_id = external_id()
    instructions = instructions()
    stream = TrueOrFalse(metadata=STREAM)
    collection_ids = BoundedList(
        fields.UUID(),
        Length(1, MAX_COLLECTIONS),
        metadata={"description": "Look for passages in these only; without it, in all that the caller may read."},
    )
    grounding = fields.String(
        validate=OneOf(GROUNDINGS),
        metadata={"description": "`strict` refuses where nothing relevant is found, `off` looks for nothing."},
    )

    model = fields.String(
        validate=[Length(1, 200), not_blank],
        metadata=NO_NUL | {"description": "The model to ask first, a chat model of `GET /v1/models`."},
    )
    temperature = Number(validate=Range(0, 2), metadata={"description": "0 is terse and repeatable, 2 is wild."})
    max_tokens = fields.Integer(
        strict=True,
        validate=Range(1, MAX_TOKENS),
        metadata={"description": "Of the answer, which ends there with `truncated`; at most `OPENAI_MAX_TOKENS`."},
    )

    @validates_schema
    def name_one_conversation(self, values: dict[str, Any], **_: Any) -> None:
        """Refuse a message that names a conversation in two ways."""
        if "conversation_id" in values and "external_id" in values:
            raise ValidationError("Send conversation_id or external_id.", "external_id")


class EstimateSchema(Schema):
    """The tokens and the cost of a message."""

    prompt_tokens = fields.Integer(required=True)
    max_tokens = fields.Integer(required=True, metadata={"description": "Of the longest answer."})
    max_micro_usd = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "In millionths of a dollar; null where a model that may answer has no price."},
    )
    fits = fields.Boolean(required=True, metadata={"description": "Whether the budgets have room for it."})


class AgainSchema(Schema):
    """Another answer to the same message."""

    stream = TrueOrFalse(metadata=STREAM)


class FeedbackSchema(Schema):
    """A rating of an answer."""

    rating = fields.Integer(required=True, strict=True, validate=OneOf([-1, 1]), metadata={"example": 1})
    comment = fields.String(validate=Length(1, MAX_COMMENT_LENGTH), metadata=NO_NUL)


class UsageSchema(Schema):
    """Tokens, as the model's server counted them; counted here for an answer that was cancelled."""

    prompt_tokens = fields.Integer(required=True, allow_none=True)
    completion_tokens = fields.Integer(required=True, allow_none=True)


class CitationSchema(Schema):
    """A part of a document that an answer rests on; offsets are code points of the document's text."""

    marker = fields.Integer(required=True, allow_none=True, metadata={"description": "null: found by alignment"})
    document_id = fields.UUID(required=True)
    document_version = fields.Integer(required=True)
    title = fields.String(required=True)
    page = fields.Integer(required=True, allow_none=True)
    start = fields.Integer(required=True)
    end = fields.Integer(required=True)
    quote = fields.String(required=True, metadata={"description": "Empty when the document may not be read any more."})
    score = fields.Float(required=True)
    supported = fields.Boolean(required=True)
    stale = fields.Boolean(required=True, metadata={"description": "Another version is searched by now."})
    answer_spans = fields.List(fields.List(fields.Integer()), required=True)


class TurnSchema(Schema):
    """A message and its answer."""

    id = fields.UUID(required=True)
    conversation_id = fields.UUID(required=True)
    user_message = fields.String(required=True)
    bot_response = fields.String(required=True)
    status = fields.String(required=True, metadata={"enum": STATUSES})
    created_at = Moment(required=True)
    completed_at = Moment(required=True, allow_none=True)
    model = fields.String(required=True, allow_none=True)
    usage = fields.Nested(UsageSchema, required=True)
    citations = fields.List(fields.Nested(CitationSchema), required=True)
    grounded = fields.Float(required=True, allow_none=True)
    retrieval_query = fields.String(required=True, allow_none=True)
    error = fields.Nested(TurnErrorSchema)
    siblings = Identifiers(fields.UUID(), required=True, dump_default=list)

    @pre_dump
    def nest(self, turn: Any, **_: Any) -> dict[str, Any]:
        """Group the flat fields of a turn; the error's name becomes its problem."""
        shown = to_dict(turn)
        shown["usage"] = turn  # not `shown`: a cycle keeps the texts in memory until the collector comes
        shown["citations"] = turn.citations or []
        if turn.snippet is None:
            del shown["snippet"], shown["highlights"]
        if shown.pop("error") is not None or turn.status == "interrupted":
            shown["error"] = problem.of_turn_error(turn.error)
        return shown


class PollQuerySchema(Schema):
    """From where on a turn's text is wanted, and how long to wait for more of it."""

    class Meta:
        unknown = "exclude"

    after = fields.Integer(
        validate=Range(0, 999_999_999),
        metadata={
            "description": "Code points of the text that the client has; of a turn that ended with less, all comes."
        },
    )
    wait = fields.Integer(
        load_default=0,
        validate=Range(0, MAX_WAIT_SECONDS),
        metadata={"description": "Seconds in which to wait for more text or the end."},
    )


class PolledTurnSchema(TurnSchema):
    """A turn with its text from an offset on."""

    text_from = fields.Integer(
        metadata={"description": "With `after`: the offset of `bot_response` in the whole text, in code points."}
    )

    @pre_dump
    def nest(self, turn: Any, **_: Any) -> dict[str, Any]:
        """Add the offset of the text."""
        shown = super().nest(turn.turn)
        return shown if turn.text_from is None else {**shown, "text_from": turn.text_from}


class HistoryQuerySchema(Schema):
    """Which page of the history."""

    class Meta:
        unknown = "exclude"

    limit = fields.Integer(load_default=50, validate=Range(1, 100), metadata=LIMIT)
    cursor = fields.String(validate=Length(1, 200), metadata=CURSOR)
    order = fields.String(
        load_default="asc", validate=OneOf(["asc", "desc"]), metadata={"description": "`desc`: the newest turn first."}
    )
    conversation_id = fields.UUID(metadata={"description": "The turns of this conversation alone."})
    q = search_query(
        "Words: the turns that have all of them, in message or answer, the best first; else those that have some. One "
        "page, without `cursor` and whatever the `order`."
    )

    @validates_schema
    def refuse_cursor(self, values: dict[str, Any], **_: Any) -> None:
        """Refuse a cursor for a search, which has one page."""
        if "q" in values and "cursor" in values:
            raise ValidationError("A search has one page.", "cursor")


class ListedTurnSchema(TurnSchema):
    """A turn in a list; one that was searched for has a part of its texts."""

    snippet = fields.String(metadata={"description": "With `q`: some 200 characters of the message or the answer."})
    highlights = fields.List(
        fields.List(fields.Integer(), validate=Length(equal=2)),
        metadata={"description": "With `q`: `[start, end]` of its words in `snippet`, in code points."},
    )


class HistorySchema(Schema):
    """One page of turns."""

    items = Items(fields.Nested(ListedTurnSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
