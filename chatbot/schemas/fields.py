"""Fields that several schemas use."""

import time
from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length

MAX_ERRORS = 20  # that an answer names, and after which a list's items are no longer loaded
MAX_KEYS = 1_000
LOADED_WITHOUT_BREAK = 100  # items of a list
ITEMS_WITHOUT_BREAK = 10  # of a page: 1 ms
MAX_EMAIL_LENGTH = 254  # RFC 5321, 4.5.3.1.3
MAX_EXTERNAL_ID_LENGTH = 255
MAX_INSTRUCTIONS_LENGTH = 8_000
MAX_QUERY_LENGTH = 400

# What the strict entry refuses in every text, told to readers of the API document (JSON Schema, 6.3.3).
NO_NUL = {"pattern": r"^[^\u0000]*$"}
LIMIT = {"description": "Items of a page."}
CURSOR = {"description": "The `next_cursor` of the page before."}


def to_dict(value: Any) -> dict[str, Any]:
    """Return the fields of a slotted dataclass by name; `dataclasses.asdict` copies all values, deeply."""
    return {name: getattr(value, name) for name in value.__slots__}


def not_blank(text: str) -> None:
    """Refuse a text that says nothing."""
    if not text.strip():
        raise ValidationError("Must not be blank.")


def external_id(**options: Any) -> fields.String:
    """Return the field of the id that a client gives to a conversation."""
    description = {"description": "The client's own id of the conversation, unique among the user's."}
    return fields.String(
        validate=[Length(1, MAX_EXTERNAL_ID_LENGTH), not_blank], metadata=NO_NUL | description, **options
    )


def instructions(**options: Any) -> fields.String:
    """Return the field of instructions to the model."""
    description = {"description": "What the model is to mind in this conversation: a part of the user's own message."}
    return fields.String(validate=Length(1, MAX_INSTRUCTIONS_LENGTH), metadata=NO_NUL | description, **options)


def search_query(description: str) -> fields.String:
    """Return the field of words to search for."""
    return fields.String(
        validate=[Length(1, MAX_QUERY_LENGTH), not_blank], metadata=NO_NUL | {"description": description}
    )


def build_example(schema: Schema) -> dict[str, Any]:
    """Return the body of those fields that have an example in their metadata."""
    return {
        field.data_key or name: field.metadata["example"]
        for name, field in schema.load_fields.items()
        if "example" in field.metadata
    }


class TrueOrFalse(fields.Boolean):
    """JSON's true or false; a word or a number is neither."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Number(fields.Float):
    """JSON's number; a word or a truth value is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str | bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Trimmed(fields.String):
    """A text without the blanks around it: keyboards add one when they complete an e-mail address."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value.strip() if isinstance(value, str) else value, attr, data, **kwargs)


class Email(Trimmed, fields.Email):
    """An e-mail address; the length is checked first.

    marshmallow runs all validators: its expressions take 0.24 s for a megabyte that Length refuses as well.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._check_length = Length(max=MAX_EMAIL_LENGTH)
        super().__init__(validate=self._check_length, **kwargs)  # for the API document too

    def _validate(self, value: Any) -> None:
        self._check_length(value)
        super()._validate(value)


class BoundedList(fields.List[Any]):
    """A list of limited length, which is checked before the items; after MAX_ERRORS invalid ones no more are loaded.

    marshmallow loads all items whatever the length is: 2,000 empty messages took .13 s.
    """

    def __init__(self, inner: Any, length: Length, **kwargs: Any) -> None:
        self._check_length = length
        super().__init__(inner, validate=length, **kwargs)  # for the API document too

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            return super()._deserialize(value, attr, data, **kwargs)
        self._check_length(value)
        loaded: list[Any] = []
        errors: dict[int, Any] = {}
        for index, item in enumerate(value):
            if index % LOADED_WITHOUT_BREAK == LOADED_WITHOUT_BREAK - 1:
                time.sleep(0)
            try:
                loaded.append(self.inner.deserialize(item, **kwargs))
            except ValidationError as error:
                errors[index] = error.messages
                if len(errors) == MAX_ERRORS:
                    break
        if errors:
            raise ValidationError(errors)  # by index, as of marshmallow's own lists
        return loaded


class BoundedDict(fields.Dict):
    """A dictionary of limited size, which is checked before its keys are."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict) and len(value) > MAX_KEYS:
            raise ValidationError(f"Has over {MAX_KEYS} keys.")
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's


class BoundedNested(fields.Nested):
    """An object of which few unknown fields are told: marshmallow lists all of them, slowly."""

    def _load(self, value: Any, partial: Any = None) -> Any:
        if isinstance(value, dict) and len(value) > len(self.schema.load_fields) + MAX_ERRORS:
            raise ValidationError("Has too many unknown fields.")
        return super()._load(value, partial)


class Moment(fields.DateTime):
    """A time in ISO 8601, UTC, with `Z` (RFC 3339)."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Identifiers(fields.List[Any]):
    """A list of UUIDs, written as they are: orjson writes each in a fiftieth of the time of a field."""

    def _serialize(self, value: list[Any | None] | None, attr: str | None, obj: Any, **kwargs: Any) -> list[Any] | None:
        return value


class Items(fields.List[Any]):
    """The items of a page, which others' requests need not wait for: a large one takes tens of milliseconds."""

    def _serialize(self, value: list[Any] | None, attr: str | None, obj: Any, **kwargs: Any) -> list[Any] | None:
        items: list[Any] = []
        for start in range(0, len(value or ()), ITEMS_WITHOUT_BREAK):
            if start:
                time.sleep(0)
            items += super()._serialize((value or [])[start : start + ITEMS_WITHOUT_BREAK], attr, obj, **kwargs) or []
        return items
