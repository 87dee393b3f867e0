"""The events of streams, as the API document names them.

OpenAPI 3.1 has no word for one event of a stream (3.2 has `itemSchema`), so that the schema of a stream is that of the
`data` of its events, which is what a generated client gives its caller: docs/decisions/0070.
"""

from typing import Any

from marshmallow import Schema, fields

from .accounts.budgets import BudgetSchema
from .analytics import LoadEventSchema
from .chat import CitationSchema, TurnSchema
from .completions import CompletionChunkSchema, OpenAIErrorSchema
from .room_messages import ReadMarkSchema, RoomMessageSchema
from .rooms import ChangedInRoomSchema, RoomSettingsSchema
from .sync import RunningEventSchema, SyncItemSchema, WatermarkSchema


class CitationsEventSchema(Schema):
    """The data of an event `citations`: the passages that an answer may rest on, in the order of their markers."""

    items = fields.List(fields.Nested(CitationSchema), required=True)


class DeltaEventSchema(Schema):
    """The data of an event `delta`: the next piece of the answer."""

    offset = fields.Integer(required=True, metadata={"description": "Code points of the answer before this piece."})
    text = fields.String(required=True)


class DoneEventSchema(TurnSchema):
    """The data of the event `done`, the last one: the turn with its answer, and the caller's budgets, if any."""

    budgets = fields.List(fields.Nested(BudgetSchema))


class ReasoningEventSchema(Schema):
    """The data of an event `reasoning`: the next piece of the model's reasoning."""

    offset = fields.Integer(required=True, metadata={"description": "Code points of the reasoning before this piece."})
    text = fields.String(required=True)


class BotDeltaSchema(Schema):
    """The data of an event `bot_delta`: a piece of an answer that is being written."""

    room_id = fields.UUID(required=True)
    message_id = fields.UUID(required=True)
    offset = fields.Integer(
        required=True,
        metadata={"description": "Code points of the answer before this piece, which takes the place of what follows."},
    )
    text = fields.String(required=True)


class BotDoneSchema(Schema):
    """The data of an event `bot_done`: an answer that has ended, as it is stored."""

    room_id = fields.UUID(required=True)
    message = fields.Nested(RoomMessageSchema, required=True)


# Data that other schemas describe: the schema, and what the event is.
ALIASES = {
    "TurnEvent": ("Turn", "The data of the event `turn`, the first one: the turn as it was opened."),
    "ErrorEvent": ("Problem", "The data of the event `error`, the last one, and of `problem` right before it."),
    "DocumentProgressEvent": ("Document", "The data of an event `progress`: how far the document is."),
    "DocumentDoneEvent": ("Document", "The data of the event `done`, the last one: it is ready, or has failed."),
}
STREAM_AS_TEXT = {
    "type": "string",
    "description": "The stream as a text, in clients that do not read it event by event.",
}


def _refer(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


# References, since openapi-python-client takes no `allOf` of another schema here.
COMPONENTS = {name: {**_refer(target), "description": description} for name, (target, description) in ALIASES.items()}

TURN_EVENTS = {
    "description": "Server-sent events, each with JSON as its `data`: `turn`, `citations`, `delta` and `reasoning` as"
    " often as there is text, then `done` or `error`. The `id` of an event is where `Last-Event-ID` goes on.",
    "anyOf": [
        _refer("TurnEvent"),
        CitationsEventSchema,
        DeltaEventSchema,
        ReasoningEventSchema,
        DoneEventSchema,
        _refer("ErrorEvent"),
        STREAM_AS_TEXT,
    ],
}
DOCUMENT_EVENTS = {
    "description": "Server-sent events, each with JSON as its `data`: `progress` at each step, then `done` or `error`.",
    "anyOf": [_refer("DocumentProgressEvent"), _refer("DocumentDoneEvent"), _refer("ErrorEvent"), STREAM_AS_TEXT],
}
SYNC_EVENTS = {
    "description": "Server-sent events, each with JSON as its `data`: `change` for what changed, `running` for a turn"
    " whose answer is being written, `reset` where the cursor has expired. The `id` is a cursor of the feed.",
    "anyOf": [
        SyncItemSchema,
        WatermarkSchema,
        ReadMarkSchema,
        RunningEventSchema,
        _refer("ErrorEvent"),
        STREAM_AS_TEXT,
    ],
}
ROOM_EVENTS = {
    "description": "Server-sent events, each with JSON as its `data`: `message` for a new message, `bot_delta` and"
    " `bot_done` for an answer, `changed` for any other change, `removed` where the caller is no member any more,"
    " `problem` and `error` at an end for another reason. The `id` is the room's `rev`.",
    "anyOf": [
        RoomMessageSchema,
        BotDeltaSchema,
        BotDoneSchema,
        ChangedInRoomSchema,
        RoomSettingsSchema,  # the data of a `changed`, which refers to it
        _refer("ErrorEvent"),
        STREAM_AS_TEXT,
    ],
}
LOAD_EVENTS = {
    "description": "Server-sent events, each with JSON as its `data`: `load` once a second; `problem` and `error` at an"
    " end for a reason.",
    "anyOf": [LoadEventSchema, _refer("ErrorEvent"), STREAM_AS_TEXT],
}
COMPLETION_EVENTS = {
    "description": "Server-sent events without a name, each with JSON as its `data`, the last one with `[DONE]`.",
    "anyOf": [CompletionChunkSchema, OpenAIErrorSchema, STREAM_AS_TEXT],
}
