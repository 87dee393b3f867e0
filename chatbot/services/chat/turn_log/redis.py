"""The turn log of many processes: each keeps its own turns in memory and copies them to Redis, for the others to read.

A turn's text is a string of UTF-8 under the name of its channel, on which each copy is told. What is copied is written
at its place and not appended, so that a copy whose acknowledgement was lost is made again. Redis may lose all of it:
the rows have what was saved, and the next copy is of the whole text.
"""

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from redis import ConnectionPool, Redis
from redis.client import PubSub
from redis.exceptions import RedisError

from .memory import MemoryText
from .port import News, TurnText

COPY_INTERVAL_SECONDS = 0.1  # seconds; a reader in another process sees the text grow in such steps
EXPIRY_SECONDS = 60  # seconds after its last copy in which a text is gone; a silent model is given up before
RETRY_SECONDS = 1.0  # seconds until the next try
MAX_TEXTS_PER_ROUND_TRIP = 200  # texts in one round trip
# Writes a piece at its place (bytes) and tells it; returns how long the text was when it is too short for that.
COPY = """
local length = redis.call('STRLEN', KEYS[1])
local start = tonumber(ARGV[1])
if length < start then return length end
redis.call('SETRANGE', KEYS[1], start, ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', KEYS[1], '')
return start + #ARGV[2]
"""

log = structlog.get_logger(__name__)


class RedisText(MemoryText):
    """A text of this process that others can follow."""

    __slots__ = ("_changed", "bytes", "copied", "name")

    def __init__(self, turn_id: UUID, changed: "dict[str, RedisText]") -> None:
        super().__init__()
        self.name = _name(turn_id)
        self.copied = self.bytes = 0  # code points and bytes that Redis has
        self._changed = changed

    def append(self, piece: str) -> None:
        """Append to the text and wake waiting readers, in this process now and in others soon."""
        super().append(piece)
        self._changed[self.name] = self


class RedisTurnLog:
    """The texts of the turns that run in this process, and of those that run in others."""

    def __init__(self, redis: "Redis", channels: ConnectionPool) -> None:
        self.redis = redis
        self._channels = channels
        self._copy = self.redis.register_script(COPY)
        self._texts: dict[UUID, RedisText] = {}
        self._changed: dict[str, RedisText] = {}
        self._ended: list[str] = []
        self._lock = threading.Lock()
        self._is_copying = False

    def open(self, turn_id: UUID) -> TurnText:
        """Begin the text of a turn."""
        text = RedisText(turn_id, self._changed)
        with self._lock:
            self._texts[turn_id] = text
            if not self._is_copying:
                self._is_copying = True
                _thread.start_new_thread(self._copy_on, ())
        return text

    def find(self, turn_id: UUID) -> TurnText | None:
        """Return a running turn's text, or None when it does not run here."""
        return self._texts.get(turn_id)

    def close(self, turn_id: UUID) -> None:
        """Remove a turn that has ended, and tell its readers in other processes to use its row from now on."""
        text = self._texts.pop(turn_id, None)
        if text is not None:
            self._changed.pop(text.name, None)
            self._ended.append(text.name)

    @contextmanager
    def elsewhere(self, turn_id: UUID) -> Iterator[News]:
        """Follow a turn that another process runs."""
        with PubSub(self._channels, ignore_subscribe_messages=True) as channel:
            yield RedisNews(self.redis, channel, _name(turn_id))

    def _copy_on(self) -> None:
        """Copy new text to Redis while turns run here."""
        while True:
            with self._lock:
                if not (self._texts or self._ended):
                    self._is_copying = False
                    return
            time.sleep(COPY_INTERVAL_SECONDS)
            try:
                self._copy_all()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next text is to be copied
                self._ended.clear()  # their readers look at the rows; the copies in Redis expire
                log.warning("turn log not copied", error=type(error).__name__, detail=str(error))
                time.sleep(RETRY_SECONDS)

    def _copy_all(self) -> None:
        while self._ended:
            names = self._ended[:MAX_TEXTS_PER_ROUND_TRIP]
            with self.redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.delete(name)
                    pipeline.publish(name, "ended")
                pipeline.execute()
            del self._ended[: len(names)]
        waiting = list(self._changed.values())
        for start in range(0, len(waiting), MAX_TEXTS_PER_ROUND_TRIP):
            self._copy_some(waiting[start : start + MAX_TEXTS_PER_ROUND_TRIP])

    def _copy_some(self, texts: list[RedisText]) -> None:
        pieces = []
        with self.redis.pipeline(transaction=False) as pipeline:
            for text in texts:
                self._changed.pop(text.name, None)
                piece = text.since(text.copied)
                pieces.append((text, text.copied + len(piece), piece.encode()))
                self._copy([text.name], [text.bytes, pieces[-1][2], EXPIRY_SECONDS], client=pipeline)
            try:
                lengths = pipeline.execute()
            except RedisError:
                self._changed.update({text.name: text for text in texts if text.ended is None})
                raise
        for (text, copied, data), length in zip(pieces, lengths, strict=True):
            if length == text.bytes + len(data):
                text.copied = copied
                text.bytes = length
            else:  # Redis has lost it
                text.copied = text.bytes = 0
                self._changed[text.name] = text


class RedisNews:
    """The news of a turn that another process runs."""

    def __init__(self, redis: "Redis", channel: PubSub, name: str) -> None:
        self.redis = redis
        self._channel = channel
        self._name = name
        self._bytes = 0
        self._subscribed = False
        self._text = ""

    def since(self, offset: int) -> str:
        """Return the text from an offset on, as far as Redis has it."""
        with suppress(RedisError):
            if not self._subscribed:  # before the first look, so that nothing falls between
                self._channel.subscribe(self._name)
                self._subscribed = True
            data: Any = self.redis.getrange(self._name, self._bytes, -1)
            self._bytes += len(data)
            self._text += data.decode()
        return self._text[offset:]

    def wait(self, seconds: float) -> bool:
        """Wait for more, at most so long; returns whether to look at the turn's row: it ended, or Redis is away."""
        try:
            message = self._channel.get_message(timeout=seconds) if self._subscribed else None
        except RedisError:
            self._subscribed = False
            message = None
        if not self._subscribed:
            time.sleep(min(seconds, RETRY_SECONDS))
        return message is None or message["data"] == b"ended"


def _name(turn_id: UUID) -> str:
    return f"chatbot:turn:{turn_id}"
