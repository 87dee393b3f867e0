"""The bodies of `/v1`, as OpenAI's API reference describes them (chat completions, models)."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range

from .chat import MAX_MESSAGE_LENGTH
from .fields import NO_NUL, BoundedList, BoundedNested, TrueOrFalse

MAX_MESSAGES = 2_000
MAX_STOPS = 4
MAX_TEXTS = 256
ROLES = ["system", "developer", "user", "assistant"]
FINISH = {"completed": "stop", "truncated": "length", "filtered": "content_filter"}


class Content(fields.Field[str]):
    """A text, or a list of parts that are all texts; loaded as one text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, list) and value and all(_is_text(part) for part in value):
            return "".join(part["text"] for part in value)
        if isinstance(value, str):
            return value
        raise ValidationError("Must be a text or a list of parts of type 'text'.")


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


class Stop(fields.Field[list[str]]):
    """One text or up to four, at which the answer ends."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and len(texts) <= MAX_STOPS and all(isinstance(one, str) and one for one in texts):
            return texts
        raise ValidationError(f"Must be a text or a list of up to {MAX_STOPS}.")


class PromptMessageSchema(Schema):
    """One message of the prompt."""

    role = fields.String(required=True, validate=OneOf(ROLES))
    content = Content(
        required=True,
        validate=Length(max=MAX_MESSAGE_LENGTH),
        metadata={
            "oneOf": [
                {"type": "string", **NO_NUL},
                {"type": "array", "items": {"type": "object"}, "minItems": 1},
            ]
        },
    )
    name = fields.String(validate=Length(1, 64), metadata=NO_NUL)


class StreamOptionsSchema(Schema):
    """The options of a stream."""

    include_usage = TrueOrFalse(load_default=False)


class CompletionRequestSchema(Schema):
    """A prompt and how it is to be answered. Tools, images and several answers are not offered."""

    model = fields.String(required=True, validate=Length(1, 200), metadata=NO_NUL)
    messages = BoundedList(BoundedNested(PromptMessageSchema), Length(min=1, max=MAX_MESSAGES), required=True)
    max_tokens = fields.Integer(strict=True, validate=Range(1, 1_000_000), allow_none=True)
    max_completion_tokens = fields.Integer(strict=True, validate=Range(1, 1_000_000), allow_none=True)
    temperature = fields.Float(validate=Range(0, 2), allow_none=True)
    top_p = fields.Float(validate=Range(0, 1), allow_none=True)
    presence_penalty = fields.Float(validate=Range(-2, 2), allow_none=True)
    frequency_penalty = fields.Float(validate=Range(-2, 2), allow_none=True)
    seed = fields.Integer(strict=True, validate=Range(-(2**63), 2**63 - 1), allow_none=True)
    stop = Stop(allow_none=True, metadata={"oneOf": [{"type": "string"}, {"type": "array"}, {"type": "null"}]})
    n = fields.Integer(strict=True, validate=OneOf([1], error="Only one answer is offered."), allow_none=True)
    stream = TrueOrFalse(load_default=False, allow_none=True)
    stream_options = BoundedNested(StreamOptionsSchema, allow_none=True)
    store = TrueOrFalse(load_default=False, allow_none=True, metadata={"description": "List it in the chat history."})
    metadata = fields.Dict(allow_none=True, metadata={"description": "Accepted and not used."})
    user = fields.String(metadata={"description": "Accepted and not used."} | NO_NUL)

    @validates_schema
    def check_question(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a prompt in which the user says nothing."""
        if not any(message["role"] == "user" and message["content"].strip() for message in data["messages"]):
            raise ValidationError("A message of the user is needed.", "messages")


class CompletionSchema(Schema):
    """An answer."""

    id = fields.String(required=True)
    object = fields.String(required=True)
    created = fields.Integer(required=True)
    model = fields.String(required=True, allow_none=True)
    choices = fields.List(fields.Dict(), required=True)
    usage = fields.Dict(required=True, allow_none=True)


class ModelSchema(Schema):
    """A model that can be asked."""

    id = fields.String(required=True)
    object = fields.String(required=True, dump_default="model")
    created = fields.Integer(required=True, dump_default=0)
    owned_by = fields.String(required=True, dump_default="chatbot-api")


class ModelsSchema(Schema):
    """The models that can be asked."""

    object = fields.String(required=True, dump_default="list")
    data = fields.List(fields.Nested(ModelSchema), required=True)


class OpenAIErrorSchema(Schema):
    """An error, as OpenAI's clients expect it."""

    error = fields.Nested(
        Schema.from_dict(
            {
                "message": fields.String(required=True),
                "type": fields.String(required=True),
                "param": fields.String(required=True, allow_none=True),
                "code": fields.String(required=True, allow_none=True),
            },
            name="OpenAIErrorDetailSchema",
        ),
        required=True,
    )


class Texts(fields.Field[list[str]]):
    """One text or some."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and 0 < len(texts) <= MAX_TEXTS and all(map(_is_short, texts)):
            return texts
        raise ValidationError(f"Must be a text, or 1 to {MAX_TEXTS} texts, of 1 to {MAX_MESSAGE_LENGTH} characters.")


def _is_short(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= MAX_MESSAGE_LENGTH


class EmbeddingRequestSchema(Schema):
    """Texts to embed."""

    model = fields.String(required=True, validate=Length(1, 200), metadata=NO_NUL)
    input = Texts(
        required=True,
        metadata={
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_MESSAGE_LENGTH, **NO_NUL},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MAX_TEXTS},
            ]
        },
    )
    encoding_format = fields.String(load_default="float", validate=OneOf(["float", "base64"]))
    dimensions = fields.Integer(strict=True, metadata={"description": "Accepted and not used."})
    user = fields.String(metadata={"description": "Accepted and not used."} | NO_NUL)


class EmbeddingsSchema(Schema):
    """Vectors in the order of their texts."""

    object = fields.String(required=True)
    data = fields.List(fields.Dict(), required=True)
    model = fields.String(required=True)
    usage = fields.Dict(required=True)
