"""The bodies of `/v1`, as OpenAI's API reference describes them (chat completions, models)."""

from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from .fields import MAX_ERRORS, NO_NUL, BoundedList, BoundedNested, TrueOrFalse
from .passed_on import (
    EMPTY,
    KINDS,
    OF_SAMPLING,
    UNREAD,
    PassedOn,
    are_calls,
    is_part,
    is_writable,
    without_parsed,
)

MAX_MESSAGES = 2_000
MAX_STOPS = 4
STOPS = [
    {"type": "string"},
    {"type": "array", "items": {"type": "string"}, "maxItems": MAX_STOPS},
    {"type": "null"},
]
MAX_CONTENT_LENGTH = 1_000_000  # characters of a message: the longest context that a body can fill
MAX_PARTS = 1_000
ROLES = ["system", "developer", "user", "assistant", "tool", "function"]
MEMBERS = {"name", "tool_calls", "tool_call_id", "refusal"}  # of a message, beside its role and content
FINISH = {"completed": "stop", "truncated": "length", "filtered": "content_filter"}


class Content(fields.Field[Any]):
    """A text, or a list of parts: texts and images."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            if len(value) > MAX_CONTENT_LENGTH:
                raise ValidationError(f"Longer than maximum length {MAX_CONTENT_LENGTH}.")
            return value
        if isinstance(value, list) and len(value) <= MAX_PARTS and all(map(is_part, value)) and is_writable(value):
            return value
        raise ValidationError("Must be a text or a list of parts of type 'text' or 'image_url'.")


class Stop(fields.Field[list[str]]):
    """One text or up to four, at which the answer ends."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and len(texts) <= MAX_STOPS and all(isinstance(one, str) and one for one in texts):
            return texts
        raise ValidationError(f"Must be a text or a list of up to {MAX_STOPS}.")


class PromptMessageSchema(Schema):
    """One message of the prompt. Its further members, such as `tool_calls`, are passed to the model's server.

    Loaded as role, text and further members; those that are empty are left out, since answers have them so. Members
    that this does not know may be empty or those of an answer that was made elsewhere.
    """

    class Meta:
        """Let further members through, to be looked at."""

        unknown = INCLUDE

    role = fields.String(required=True, validate=OneOf(ROLES))
    content = Content(
        load_default=None,
        allow_none=True,
        metadata={
            "oneOf": [
                {"type": "string", **NO_NUL},
                {"type": "array", "items": {"type": "object"}},
                {"type": "null"},
            ]
        },
    )
    name = fields.String(validate=Length(1, 64), allow_none=True, metadata=NO_NUL)
    tool_calls = PassedOn(are_calls)
    refusal = fields.String(allow_none=True, metadata=NO_NUL)
    tool_call_id = fields.String(validate=Length(1, 200), allow_none=True, metadata=NO_NUL)

    @post_load
    def split(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Keep the text apart from the further members; several texts are joined as servers join them."""
        content = data.pop("content")
        role = data.pop("role")
        parts = content if isinstance(content, list) else []
        text = "\n".join(part["text"] for part in parts if part["type"] == "text") if parts else content or ""
        further = {name: value for name, value in data.items() if value not in EMPTY and name not in UNREAD}
        if unknown := further.keys() - MEMBERS:
            raise ValidationError({name: ["Unknown field."] for name in sorted(unknown)[:MAX_ERRORS]})
        if "tool_calls" in further:
            further["tool_calls"] = without_parsed(further["tool_calls"])
        if any(part["type"] != "text" for part in parts):
            further["content"] = parts
        if content is None and "tool_calls" in further:
            further["content"] = None
        return {"role": role, "content": text, "fields": further}


def refuse_obfuscation(value: bool) -> None:
    """Refuse the padding of streams; a validator with a constant is an enum of booleans, which generators drop."""
    if value:
        raise ValidationError("No obfuscation is offered.")


class StreamOptionsSchema(Schema):
    """The options of a stream."""

    include_usage = TrueOrFalse(load_default=False, allow_none=True)
    include_obfuscation = TrueOrFalse(
        allow_none=True, validate=refuse_obfuscation, metadata={"description": "Only `false`: none is offered."}
    )


class SamplingSchema(Schema):
    """The parameters of each completion. Several answers are not offered."""

    model = fields.String(required=True, validate=Length(1, 200), metadata=NO_NUL)
    max_tokens = fields.Integer(strict=True, validate=Range(1, 1_000_000), allow_none=True)
    temperature = fields.Float(validate=Range(0, 2), allow_none=True)
    top_p = fields.Float(validate=Range(0, 1), allow_none=True)
    presence_penalty = fields.Float(validate=Range(-2, 2), allow_none=True)
    frequency_penalty = fields.Float(validate=Range(-2, 2), allow_none=True)
    seed = fields.Integer(strict=True, validate=Range(-(2**63), 2**63 - 1), allow_none=True)
    stop = Stop(allow_none=True, metadata={"oneOf": STOPS})
    n = fields.Integer(strict=True, validate=OneOf([1], error="Only one answer is offered."), allow_none=True)
    stream = TrueOrFalse(load_default=False, allow_none=True)
    stream_options = BoundedNested(StreamOptionsSchema, allow_none=True)
    store = TrueOrFalse(load_default=False, allow_none=True, metadata={"description": "List it in the chat history."})
    metadata = fields.Dict(allow_none=True, metadata={"description": "Accepted and not used."})
    user = fields.String(allow_none=True, metadata={"description": "Accepted and not used."} | NO_NUL)


class CompletionRequestSchema(SamplingSchema):
    """A prompt and how it is to be answered."""

    class Meta:
        """Parameters that are passed on as they are."""

        include = {name: PassedOn(kind) for name, kind in KINDS.items()}

    messages = BoundedList(
        BoundedNested(PromptMessageSchema),
        Length(min=1, max=MAX_MESSAGES),
        required=True,
        metadata={"example": [{"role": "user", "content": "Tell me about the sea."}]},
    )
    max_completion_tokens = fields.Integer(strict=True, validate=Range(1, 1_000_000), allow_none=True)

    @validates_schema
    def check_question(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a prompt in which the user says nothing."""
        if not any(message["role"] == "user" and _says_something(message) for message in data["messages"]):
            raise ValidationError("A message of the user is needed.", "messages")


def _says_something(message: dict[str, Any]) -> bool:
    return bool(message["content"].strip() or message["fields"].get("content"))


class Prompt(fields.Field[str]):
    """A text, or a list with one: some clients send no other."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(text, str) and text.strip() and len(text) <= MAX_CONTENT_LENGTH:
            return text
        raise ValidationError(f"Must be one text of 1 to {MAX_CONTENT_LENGTH} characters.")


class TextRequestSchema(SamplingSchema):
    """A text to be answered, as in OpenAI's older API. Several answers, suffixes and probabilities are not offered."""

    class Meta:
        """Parameters that are passed on as they are."""

        include = {name: PassedOn(KINDS[name]) for name in OF_SAMPLING}

    prompt = Prompt(
        required=True,
        metadata={
            "oneOf": [{"type": "string", **NO_NUL}, {"type": "array", "items": {"type": "string"}, "maxItems": 1}],
            "example": "Tell me about the sea.",
        },
    )
    echo = TrueOrFalse(load_default=False, allow_none=True, metadata={"description": "The prompt in front of it."})
    best_of = fields.Integer(strict=True, validate=OneOf([1], error="Only one answer is offered."), allow_none=True)
    suffix = fields.String(validate=Length(max=0, error="Not offered."), allow_none=True)
    logprobs = fields.Integer(strict=True, validate=OneOf([0], error="Not offered."), allow_none=True)


class CompletionSchema(Schema):
    """An answer."""

    id = fields.String(required=True)
    object = fields.String(required=True)
    created = fields.Integer(required=True)
    model = fields.String(required=True, allow_none=True)
    choices = fields.List(fields.Dict(), required=True)
    usage = fields.Dict(required=True, allow_none=True)


class CompletionChunkSchema(Schema):
    """A piece of an answer."""

    id = fields.String(required=True)
    object = fields.String(required=True)
    created = fields.Integer(required=True)
    model = fields.String(required=True)
    choices = fields.List(fields.Dict(), required=True)
    usage = fields.Dict(allow_none=True)


class ModelSchema(Schema):
    """A model that can be asked."""

    id = fields.String(required=True)
    object = fields.String(required=True, dump_default="model")
    created = fields.Integer(required=True, dump_default=0)
    owned_by = fields.String(required=True, dump_default="chatbot-api")
    kind = fields.String(
        required=True,
        metadata={
            "enum": ["chat", "embedding", "collection"],
            "description": "Whether it chats, embeds texts, or chats with passages of a collection.",
        },
    )


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
