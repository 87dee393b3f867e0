"""Cursors: a sort key, encoded so that nobody builds on its form."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ..errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[datetime, UUID]


def encode(key: Key) -> str:
    """Return the cursor of a (time, id) key."""
    microseconds = (key[0] - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big") + key[1].bytes).decode().rstrip("=")


def decode(cursor: str) -> Key:
    """Return the key of a cursor; raises InvalidInput for what is none."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError("length")
        return EPOCH + timedelta(microseconds=int.from_bytes(raw[:8], "big")), UUID(bytes=raw[8:])
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidInput({"cursor": ["Is not a cursor of this list."]}) from error
