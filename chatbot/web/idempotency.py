"""The Idempotency-Key out of the request."""

import hashlib
import json
import re
from collections.abc import Mapping

from flask import request

from chatbot.errors import InvalidInput
from chatbot.schemas import problem
from chatbot.services.idempotency import Key

HEADER = "Idempotency-Key"
PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}")
DOCUMENT = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "description": "The same key and body get the same turn for 24 hours, however often they are sent.",
}


def read_key(body: Mapping[str, object]) -> Key | None:
    """Return the key of this request with the hash of its validated body, but for `stream`; None without a key.

    Raises InvalidInput for a key that is no 1 to 255 printable characters.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    # A path with an id in it is a route of its own: the same key may regenerate two turns.
    return make_key(request.path.rstrip("/"), given, body)


def make_key(route: str, given: str, body: Mapping[str, object], *, name: str = HEADER) -> Key:
    """Return the key that came under a name, with the hash of a validated body; raises InvalidInput as `read_key`."""
    if not PRINTABLE.fullmatch(given):
        raise InvalidInput({name: ["Must be 1 to 255 printable ASCII characters."]})
    hashed_fields = {field: value for field, value in body.items() if field not in {"stream", "stream_options"}}
    digest = hashlib.sha256(json.dumps(hashed_fields, sort_keys=True, default=str).encode()).digest()
    return Key(route, given, digest, problem.RETRYABLE)
