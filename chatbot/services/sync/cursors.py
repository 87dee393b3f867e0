"""Cursors of sync: how far a device has followed, as an opaque text."""

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chatbot.errors import CursorExpired, InvalidInput

FORM = struct.Struct(">B8s8sQQqI")  # a watermark of long retention lies before 1970
VERSION = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a device of a user has followed the changes of a database.

    It knows what changed up to `position`. While it still fetches what was there at first, from the newest to the
    oldest, `before` is the position from which it goes on downwards, else 0. `purged_before` is the newest watermark
    that it has seen, `at` is when it was given out.
    """

    epoch: UUID
    user_id: UUID
    position: int
    before: int
    purged_before: datetime | None
    at: datetime


def encode(cursor: Cursor) -> str:
    """Return a cursor as a text."""
    purged = 0 if cursor.purged_before is None else (cursor.purged_before - EPOCH) // MICROSECOND
    seconds = int((cursor.at - EPOCH).total_seconds())
    packed = FORM.pack(
        VERSION, cursor.epoch.bytes[:8], cursor.user_id.bytes[8:], cursor.position, cursor.before, purged, seconds
    )
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str, *, epoch: UUID, user_id: UUID) -> Cursor:
    """Return the cursor of a text; raises InvalidInput for no cursor, CursorExpired for a foreign one.

    A longer text may be of a later version: a device with one begins anew, which 400 does not tell it to.
    """
    raw = _decode_base64(text)
    if len(raw) < FORM.size:
        raise InvalidInput({"since": ["Must be a `next_cursor` of sync."]})
    try:
        version, of_epoch, of_user, position, before, purged, seconds = FORM.unpack(raw)
        purged_before = EPOCH + purged * MICROSECOND if purged else None
        at = EPOCH + timedelta(seconds=seconds)
    except (OverflowError, struct.error) as error:
        raise CursorExpired("The cursor is of another version; begin without one.") from error
    if (version, of_epoch, of_user) != (VERSION, epoch.bytes[:8], user_id.bytes[8:]):
        raise CursorExpired("The cursor is of another user or of another database; begin without one.")
    return Cursor(epoch, user_id, position, before, purged_before, at)


def _decode_base64(text: str) -> bytes:
    """Return the bytes of a text, none of one that is not URL-safe base64."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
