"""The signals of an application: with Redis, of all processes."""

from dataclasses import dataclass

from flask import Flask

from chatbot.cluster import get_cluster

from .memory import MemoryPresence, MemoryTypingFeed
from .port import PresenceStore, TypingFeed


@dataclass(frozen=True, slots=True)
class Signals:
    """The adapters of signals."""

    typing: TypingFeed
    presence: PresenceStore


def create(app: Flask) -> Signals:
    """Make the adapters that an application's settings ask for."""
    cluster = get_cluster(app)
    if cluster is None:
        return Signals(MemoryTypingFeed(), MemoryPresence())
    from .redis_presence import RedisPresence
    from .redis_typing import RedisTypingFeed

    return Signals(RedisTypingFeed(cluster.redis), RedisPresence(cluster.redis))
