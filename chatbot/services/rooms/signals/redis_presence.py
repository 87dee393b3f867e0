"""Presence over Redis: each process reports the users that joins and leaves, and reads those of the others.

An exchange is one round trip for all rooms, and moves what has changed since the last one: a room has a log of its last
changes, counted by a version. A process that reports nothing for some seconds is dead, and its users go.
"""

import threading
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from redis import Redis
from redis.exceptions import RedisError

from chatbot.services.rooms.records import RoomUser

from .presence_script import EXCHANGE, EXPIRY_SECONDS, MAX_LOGGED

RETRY_SECONDS = 3.0  # without Redis, until the next try

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RoomView:
    """A room as this process knows it: its users that it has reported, and the entries of all processes."""

    reported: frozenset[RoomUser] = frozenset()
    version: list[Any] = field(default_factory=lambda: ["", 0])  # of the log: an epoch and a number
    entries: dict[str, RoomUser] = field(default_factory=dict)
    users: frozenset[RoomUser] = frozenset()

    def report(self, own: frozenset[RoomUser]) -> dict[str, Any]:
        """Return the changes of this process's users since the last report."""
        joins = [[str(one.id), one.username] for one in own - self.reported]
        leaves = [str(one.id) for one in self.reported - own]
        return {"version": self.version, "joins": joins, "leaves": leaves, "is_left": not own}

    def apply(self, answer: dict[str, Any]) -> None:
        """Take over the changes of the log, or all entries."""
        self.version = answer["version"]
        if answer["is_whole"]:
            self.entries = {}
        for line in answer["lines"] or ():
            user_id, process, username = line[1:].split(":", 2)
            key = f"{user_id}:{process}"
            if line[0] == "+":
                self.entries[key] = RoomUser(UUID(user_id), username)
            else:
                self.entries.pop(key, None)
        if answer["lines"] or answer["is_whole"]:
            self.users = frozenset(self.entries.values())


class RedisPresence:
    """The users with sockets in rooms, in all processes; while Redis is away, those of this one."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(EXCHANGE)
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self._forget()

    def exchange(self, own: Mapping[UUID, Set[RoomUser]]) -> dict[UUID, Set[RoomUser]]:
        """Report the users of this process, and return those of all."""
        users = {room_id: frozenset(one) for room_id, one in own.items()}
        with self._lock:
            if users and time.monotonic() >= self._retry_at:
                try:
                    lost = self._exchange(users)
                    if lost:  # Redis was emptied, or took this process for dead
                        self._exchange(lost)
                    return {room_id: self._pop_left(room_id, one) for room_id, one in users.items()}
                except RedisError as error:
                    self._retry_at = time.monotonic() + RETRY_SECONDS
                    self._forget()
                    log.warning("presence not exchanged", error=type(error).__name__)
        return dict(users)

    def _exchange(self, own: dict[UUID, frozenset[RoomUser]]) -> dict[UUID, frozenset[RoomUser]]:
        """Make one round trip; return those rooms of which Redis does not know this process."""
        views = [self._views.setdefault(room_id, RoomView()) for room_id in own]
        reports = [view.report(users) for view, users in zip(views, own.values(), strict=True)]
        keys = [f"chatbot:presence:{room_id}" for room_id in own]
        arguments: list[Any] = [self._process, uuid4().hex, EXPIRY_SECONDS, MAX_LOGGED, orjson.dumps(reports)]
        answers = orjson.loads(self._script(keys, arguments))
        lost = {}
        for (room_id, users), view, answer in zip(own.items(), views, answers, strict=True):
            view.apply(answer)
            if view.reported and not answer["is_known"]:
                lost[room_id] = users
            view.reported = frozenset() if room_id in lost else users
        return lost

    def _pop_left(self, room_id: UUID, own: frozenset[RoomUser]) -> frozenset[RoomUser]:
        """Return the users of a room, which is forgotten where none is here."""
        users = self._views[room_id].users
        if not own:
            del self._views[room_id]
        return users

    def _forget(self) -> None:
        """Begin anew, as another process: the entries of the former one expire."""
        self._process = uuid4().hex
        self._views: dict[UUID, RoomView] = {}
