"""The event `typing`: a member writes a message, as the sockets of the others hear in every process."""

import time
from collections.abc import Callable
from uuid import UUID

from cachetools import TTLCache
from flask_socketio import SocketIO

from chatbot.schemas.sockets import TypingEventSchema
from chatbot.services.rooms.records import RoomUser
from chatbot.services.rooms.signals.port import Typing, TypingFeed

from .connections import Registry
from .delivery import NAMESPACE

POLL_INTERVAL_SECONDS = 0.25
INTERVAL_SECONDS = 3.0  # between two events of one user in one room
SHOWN_SECONDS = 6  # for which clients show it
MAX_RECENT = 10_000

_typings = TypingEventSchema()


class TypingEvents:
    """Publishes the typing of this process's users, and emits that of all."""

    def __init__(
        self, socketio: SocketIO, registry: Registry, feed: TypingFeed, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._socketio = socketio
        self._registry = registry
        self._feed = feed
        self._published = TTLCache[Typing, bool](MAX_RECENT, INTERVAL_SECONDS, timer)
        self._emitted = TTLCache[Typing, bool](MAX_RECENT, INTERVAL_SECONDS, timer)

    def publish(self, room_id: UUID, user: RoomUser) -> None:
        """Let the other members hear that a user types, unless they have just heard."""
        typing = Typing(room_id, user)
        if typing not in self._published:
            self._published[typing] = True
            self._feed.publish(typing)

    def poll(self) -> None:
        """Emit the typing of all processes; of a user with several sockets not more often than of another."""
        for typing in self._feed.read():
            if typing not in self._emitted:
                self._emitted[typing] = True
                self._emit(typing)

    def _emit(self, typing: Typing) -> None:
        sids = [
            one.sid
            for one in self._registry.list_all()
            if typing.room_id in one.rooms and one.caller.user_id != typing.user.id
        ]
        if sids:
            user = typing.user
            facts = {"room_id": typing.room_id, "user_id": user.id, "username": user.username}
            event = _typings.dump({**facts, "expires_in": SHOWN_SECONDS})
            self._socketio.emit("typing", event, namespace=NAMESPACE, to=sids)
