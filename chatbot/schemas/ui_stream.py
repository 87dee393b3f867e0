"""Requests of the AI SDK's `useChat` (ai 7, `HttpChatTransport`)."""

from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf

from .chat import MAX_MESSAGE_LENGTH, MessageSchema
from .events import STREAM_AS_TEXT
from .fields import MAX_EXTERNAL_ID_LENGTH, NO_NUL, not_blank

TRIGGERS = ["submit-message", "regenerate-message"]
MAX_MESSAGE_ID_LENGTH = 255
EXAMPLE = [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "What is the capital of France?"}]}]

_check_text = (Length(1, MAX_MESSAGE_LENGTH), not_blank)


class LastUserMessage(fields.List[Any]):
    """Messages of a chat, loaded as the text of the last one, which must be the user's; no other one is read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.Dict(), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
            raise ValidationError("Must be a list of messages.")
        if not value:
            raise ValidationError("Has no message of the user.")
        try:
            return _read_text(value[-1])
        except ValidationError as error:
            raise ValidationError({len(value) - 1: error.messages}) from error


def _read_text(message: dict[str, Any]) -> str:
    """Return the text of a user's message; raises ValidationError that names the part which is none."""
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise ValidationError({"parts": ["Must be a list of parts."]})
    is_users = message.get("role") == "user"
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if _is_tool(kind) or (is_users and not (kind == "text" and isinstance(part.get("text"), str))):
            raise ValidationError({"parts": {index: ["Only parts of type `text` are supported."]}})
    if not is_users:
        raise ValidationError({"role": ["Must be `user`: the last message is the one to answer."]})
    text = "\n".join(part["text"] for part in parts)
    try:
        for check in _check_text:
            check(text)
    except ValidationError as error:
        raise ValidationError({"parts": error.messages}) from error
    return text


def _is_tool(kind: Any) -> bool:
    return isinstance(kind, str) and (kind.startswith("tool-") or kind == "dynamic-tool")


class UIChatSchema(MessageSchema):
    """A message to the bot as `useChat` sends it; the fields of its `body` option are those of a message."""

    max_values = 100_000  # the client sends all its messages each time; only the last one is validated

    class Meta:
        exclude = ("message", "conversation_id", "external_id", "stream")

    chat_id = fields.String(
        data_key="id",
        required=True,
        validate=[Length(1, MAX_EXTERNAL_ID_LENGTH), not_blank],
        metadata=NO_NUL
        | {"description": "The conversation's `external_id` or `id`; any other begins one.", "example": "holidays"},
    )
    messages = LastUserMessage(
        attribute="message",
        required=True,
        metadata={
            "description": "The last one is the user's, of text alone; no other one is read.",
            "example": EXAMPLE,
        },
    )
    trigger = fields.String(load_default=TRIGGERS[0], validate=OneOf(TRIGGERS))
    message_id = fields.String(
        data_key="messageId",
        validate=Length(1, MAX_MESSAGE_ID_LENGTH),
        allow_none=True,
        load_default=None,
        metadata=NO_NUL | {"description": "The answer, or the message, that is to be answered again."},
    )


class UIChunkSchema(Schema):
    """The data of an event of a UI message stream; its other members depend on `type`, as the AI SDK has them."""

    class Meta:
        unknown = "include"

    type = fields.String(required=True, metadata={"example": "text-delta"})


UI_MESSAGE_STREAM = {
    "description": "Server-sent events without a name, each with a chunk of a UI message stream as its `data`, the last"
    " one with `[DONE]`.",
    "anyOf": [UIChunkSchema, STREAM_AS_TEXT],
}
