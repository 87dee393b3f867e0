"""The bodies of `/v1/embeddings`, as OpenAI's API reference describes them."""

from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf

from .chat import MAX_MESSAGE_LENGTH
from .fields import NO_NUL
from .passed_on import is_integer

MAX_TEXTS = 2_048
TOKENS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 100_276},
    "minItems": 1,
    "maxItems": MAX_MESSAGE_LENGTH,
    "description": "Tokens of OpenAI's embedders (cl100k_base).",
}


class Texts(fields.Field[list[str | list[int]]]):
    """One text or some, each as a text or as tokens of OpenAI's embedders."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str | list[int]]:
        is_one = isinstance(value, str) or (isinstance(value, list) and bool(value) and is_integer(value[0]))
        texts = [value] if is_one else value
        if isinstance(texts, list) and 0 < len(texts) <= MAX_TEXTS and all(map(_has_valid_length, texts)):
            return texts
        raise ValidationError(
            f"Must be a text, or 1 to {MAX_TEXTS} texts, of 1 to {MAX_MESSAGE_LENGTH} characters or tokens."
        )


def _has_valid_length(text: Any) -> bool:
    is_text = isinstance(text, str) or (isinstance(text, list) and all(map(is_integer, text)))
    return is_text and 0 < len(text) <= MAX_MESSAGE_LENGTH


class EmbeddingRequestSchema(Schema):
    """Texts to embed."""

    max_values = 200_000  # in a body of 1 MB are 180,000 tokens, which take 60 ms

    model = fields.String(required=True, validate=Length(1, 200), metadata=NO_NUL)
    input = Texts(
        required=True,
        metadata={
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_MESSAGE_LENGTH, **NO_NUL},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MAX_TEXTS},
                TOKENS,
                {"type": "array", "items": TOKENS, "minItems": 1, "maxItems": MAX_TEXTS},
            ],
            "example": "Tell me about the sea.",
        },
    )
    encoding_format = fields.String(load_default="float", allow_none=True, validate=OneOf(["float", "base64"]))
    dimensions = fields.Integer(
        strict=True, allow_none=True, metadata={"description": "Only those that the model has."}
    )
    user = fields.String(allow_none=True, metadata={"description": "Accepted and not used."} | NO_NUL)


class EmbeddingsSchema(Schema):
    """Vectors in the order of their texts."""

    object = fields.String(required=True)
    data = fields.List(fields.Dict(), required=True)
    model = fields.String(required=True)
    usage = fields.Dict(required=True)
