"""Cursors: opaque encoded sort keys."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chatbot.database.keyset import Key, Page
from chatbot.errors import InvalidInput
from chatbot.services.accounts.callers import Caller

from . import admission

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(key: Key) -> str:
    """Return the cursor of a (time, id) key."""
    microseconds = (key[0] - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big") + key[1].bytes).decode().rstrip("=")


def decode(cursor: str) -> Key:
    """Return the key of a cursor; raises InvalidInput for an invalid one."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError("length")
        return EPOCH + timedelta(microseconds=int.from_bytes(raw[:8], "big")), UUID(bytes=raw[8:])
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidInput({"cursor": ["Invalid cursor."]}) from error


def encode_position(position: int) -> str:
    """Return the cursor of a position in a list that never changes."""
    return base64.urlsafe_b64encode(position.to_bytes(4, "big")).decode().rstrip("=")


def decode_position(cursor: str | None) -> int:
    """Return the position of a cursor, -1 without one; raises InvalidInput for an invalid one."""
    if cursor is None:
        return -1
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput({"cursor": ["Invalid cursor."]}) from error
    if len(raw) != 4 or raw[0] > 127:
        raise InvalidInput({"cursor": ["Invalid cursor."]})
    return int.from_bytes(raw, "big")


def page(read: Callable[..., Page[Any]], query: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """Return one page of a service's list for a caller; raises InvalidInput for an invalid cursor.

    Few pages are made for a user at a time, further ones wait.
    """
    cursor = query.pop("cursor", None)
    after = decode(cursor) if cursor else None
    admission.enter_page(caller.user_id)
    found = read(caller, after=after, **query)
    return {"items": found.items, "next_cursor": encode(found.last_key) if found.last_key else None}
