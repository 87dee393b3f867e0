"""Typing over a stream of Redis that all processes read: nothing is subscribed to, and nothing to be healed."""

import contextlib
import time
from typing import Any
from uuid import UUID, uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError

from chatbot.services.rooms.records import RoomUser

from .memory import MemoryTypingFeed
from .port import Typing

STREAM = "chatbot:typing"
MAX_ENTRIES = 1_000  # in the stream, and in one reading
EXPIRY_SECONDS = 60
RETRY_SECONDS = 1.0  # without Redis, until the next try

log = structlog.get_logger(__name__)


class RedisTypingFeed:
    """Carries typing to all processes; within this one also while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._own = MemoryTypingFeed()
        self._process = uuid4().hex
        self._last_id: Any = None
        self._retry_at = 0.0

    def publish(self, typing: Typing) -> None:
        """Let each process read of a user that types."""
        self._own.publish(typing)
        entry: dict[Any, Any] = {
            "process": self._process,
            "room": str(typing.room_id),
            "user": str(typing.user.id),
            "name": typing.user.username,
        }
        if time.monotonic() >= self._retry_at:
            with contextlib.suppress(RedisError), self._redis.pipeline(transaction=False) as pipeline:
                pipeline.xadd(STREAM, entry, maxlen=MAX_ENTRIES, approximate=True)
                pipeline.expire(STREAM, EXPIRY_SECONDS)
                pipeline.execute()

    def read(self) -> list[Typing]:
        """Return the typing of all processes since the last reading; the first one begins now."""
        found = self._own.read()
        if time.monotonic() < self._retry_at:
            return found
        try:
            found += self._read_others()
        except RedisError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            log.warning("typing not read", error=type(error).__name__)
        return found

    def _read_others(self) -> list[Typing]:
        if self._last_id is None:
            newest: Any = self._redis.xrevrange(STREAM, count=1)
            self._last_id = newest[0][0] if newest else "0-0"
            return []
        answer: Any = self._redis.xread({STREAM: self._last_id}, count=MAX_ENTRIES)
        entries = answer[0][1] if answer else []
        if entries:
            self._last_id = entries[-1][0]
        return [_parse(fields) for _, fields in entries if fields[b"process"].decode() != self._process]


def _parse(fields: dict[bytes, bytes]) -> Typing:
    user = RoomUser(UUID(fields[b"user"].decode()), fields[b"name"].decode())
    return Typing(UUID(fields[b"room"].decode()), user)
