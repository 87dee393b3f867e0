"""Frames between parent and child: a head of JSON and a body of bytes, each length first."""

import json
import struct
from collections.abc import Callable
from typing import Any, TypeVar

LENGTHS = struct.Struct("!II")
LARGEST_HEAD = 1_000_000  # bytes; the starts of ten thousand pages are a tenth
LARGEST_BODY = 2**30

Bytes = TypeVar("Bytes", bytes, bytearray)


class Garbled(Exception):
    """The bytes are no frame."""


def packed(head: dict[str, Any], body_size: int) -> bytes:
    """Return a frame but for its body, which is sent after it and not copied for that."""
    header = json.dumps(head).encode()
    return LENGTHS.pack(len(header), body_size) + header


def read(exactly: Callable[[int], Bytes]) -> tuple[dict[str, Any], Bytes]:
    """Return the next frame; `exactly` returns so many bytes or raises EOFError. Raises Garbled for anything else."""
    head_size, body_size = LENGTHS.unpack(exactly(LENGTHS.size))
    if head_size > LARGEST_HEAD or body_size > LARGEST_BODY:
        raise Garbled("a frame beyond all bounds")
    header = exactly(head_size)
    try:
        head = json.loads(header)
    except ValueError as error:
        raise Garbled("a head that is no JSON") from error
    if not isinstance(head, dict):
        raise Garbled("a head that is no object")
    return head, exactly(body_size)
