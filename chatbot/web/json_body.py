"""The one strict JSON entry: refuses duplicate keys, depth, NaN, NUL and lone surrogates.

NaN, duplicate keys, NUL, lone surrogates, deep nesting, other encodings and media types.
"""

import json
import re
import time
from itertools import islice
from typing import Any, NoReturn

from flask import Request, request
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge

from chatbot.errors import InvalidInput, MalformedBody, UnsupportedMediaType
from chatbot.schemas.fields import MAX_ERRORS

from .fair_starts import take_turn

MAX_DEPTH = 64
MAX_VALUES = 10_000  # in one body, unless its schema has `max_values`: validation takes some 7 us for each
LARGE_BODY = 8_192  # bytes
MANY_VALUES = 200
UNKNOWN = ["Unknown field."]  # as marshmallow says it
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair


class StrictParser(FlaskParser):
    """webargs' parser with the strict entry, our errors and status 400 in the document."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "json": None, "query": None}

    def load_json(self, req: Request, schema: Any) -> Any:
        """Return the request's body as a JSON object; raises InvalidInput for more unknown fields than MAX_ERRORS."""
        if req.method == "POST" and _is_missing(req) and not any(one.required for one in schema.load_fields.values()):
            return {}
        body = json_body(req, max_values=getattr(schema, "max_values", MAX_VALUES))
        refuse_many_unknown(body, schema)
        return body

    def load_querystring(self, req: Request, schema: Any) -> Any:
        """Return the query's values; raises InvalidInput for a NUL and for a parameter that is given twice.

        No database can look for a NUL. Unknown parameters are ignored: proxies and caches add some of their own.
        """
        known = _names(schema)
        for name, values in req.args.lists():
            if any("\0" in value for value in values):
                raise InvalidInput({name: ["Has a NUL."]})
            if name in known and len(values) > 1:
                raise InvalidInput({name: ["Must be given once."]})
        return super().load_querystring(req, schema)

    def handle_error(self, error: Any, *_: Any, **__: Any) -> NoReturn:
        """Raise InvalidInput with the messages by field."""
        messages = next(iter(error.normalized_messages().values()))
        raise InvalidInput(dict(islice(flatten(messages).items(), MAX_ERRORS))) from without_frames(error)


def without_frames(error: ValidationError) -> ValidationError:
    """Return an error without its traceback: marshmallow's frame holds the error, and it the frame.

    With them the body that was sent would be kept until the next collection of garbage: 60 MB of thirty messages.
    """
    return error.with_traceback(None)


def json_body(req: Request = request, *, max_values: int = MAX_VALUES) -> dict[str, Any]:
    """Return the request's body; raises UnsupportedMediaType, MalformedBody and, over the limit, status 413."""
    refuse_packed(req)
    if req.mimetype != "application/json" or req.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType("Send application/json in UTF-8.")
    data = req.get_data()
    # A body without a length is cut at the limit, silently (werkzeug 3.1, LimitedStream.readall).
    if req.content_length is None and req.max_content_length and len(data) >= req.max_content_length:
        raise RequestEntityTooLarge
    if len(data) <= LARGE_BODY and _separators(data) <= MANY_VALUES:
        return parse(data)
    take_turn(req.environ)
    value = parse(data, max_values)
    time.sleep(0)  # validation takes as long again
    return value


def parse(data: bytes, max_values: int = MAX_VALUES) -> dict[str, Any]:
    """Parse a JSON object strictly (RFC 8259 with I-JSON's rules, RFC 7493); raises MalformedBody."""
    if _separators(data) > max_values and _separators(STRING.sub(b"", data)) > max_values:
        raise MalformedBody(f"The body has over {max_values:,} values.")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except RecursionError:
        raise MalformedBody(f"The body is nested over {MAX_DEPTH} levels deep.") from None
    except ValueError as error:
        raise MalformedBody("The body is not valid JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise MalformedBody("The body must be a JSON object.")
    check_texts(value)
    return value


def refuse_packed(req: Request = request) -> None:
    """Raise UnsupportedMediaType for a compressed body, which would be taken for a broken one (RFC 9110, 15.5.16)."""
    if req.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")


def _is_missing(req: Request) -> bool:
    return not req.mimetype and not req.content_length and "Transfer-Encoding" not in req.headers


def refuse_many_unknown(body: dict[str, Any], schema: Schema) -> None:
    """Raise InvalidInput for more unknown fields than an answer names: marshmallow would list all of them, slowly."""
    known = _names(schema)
    if len(body) <= len(known) + MAX_ERRORS:
        return
    raise InvalidInput(dict.fromkeys(islice((name for name in body if name not in known), MAX_ERRORS), UNKNOWN))


def refuse_fields() -> None:
    """Raise InvalidInput for a body with fields, where none are known; no body is as good as an empty object."""
    if request.get_data() and (body := json_body()):
        raise InvalidInput(dict.fromkeys(islice(body, MAX_ERRORS), UNKNOWN))


def _names(schema: Schema) -> set[str]:
    """Return the names of a schema's fields as clients send them."""
    return {field.data_key or name for name, field in schema.load_fields.items()}


def flatten(messages: Any, prefix: str = "") -> dict[str, list[str]]:
    """Turn marshmallow's nested messages into dotted field names."""
    if not isinstance(messages, dict):
        return {prefix or "body": [str(message) for message in messages]}
    flat: dict[str, list[str]] = {}
    for name, inner in messages.items():
        flat |= flatten(inner, prefix if name == "_schema" else f"{prefix}.{name}".strip("."))
    return flat


def _separators(data: bytes) -> int:
    """Return an upper bound of the number of values in JSON text; punctuation within strings counts too."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedBody("The body has the same key twice.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise MalformedBody("A number in the body is too large.")
    return number


def check_texts(value: Any) -> None:
    """Check each string and the depth, without recursion; raises MalformedBody for text that cannot be stored."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MAX_DEPTH and isinstance(item, dict | list):
            raise MalformedBody(f"The body is nested over {MAX_DEPTH} levels deep.")
        if isinstance(item, dict):
            waiting.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            waiting.extend((part, depth + 1) for part in item)
        elif isinstance(item, str) and ("\0" in item or HALF.search(item)):
            raise MalformedBody("The body has a NUL or half a surrogate pair in a text.")
