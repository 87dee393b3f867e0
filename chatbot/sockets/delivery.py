"""Delivery of the changes of rooms to the sockets of this process.

A loop looks in the database at the rooms that sockets follow; a change of another host is found in the same way as one
of this process. What it misses, while the database is away, it finds when that is back.
"""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from flask_socketio import SocketIO

from chatbot.errors import CursorExpired, NotFound
from chatbot.observability import metrics
from chatbot.schemas import problem
from chatbot.schemas.rooms import dump_event
from chatbot.services.rooms import changes
from chatbot.services.rooms.records import RoomChange, RoomReaders, View, show
from chatbot.services.rooms.watch import find_revs

from . import lag
from .bot_deltas import BotDeltas
from .closing import ConnectionCloser
from .connections import Connection, Registry

NAMESPACE = "/rooms"
POLL_INTERVAL_SECONDS = 0.1  # between two polls at the rooms
MAX_POLLED_CHANGES = 200  # of a room at a time


class Deliveries:
    """Emits changes to sockets."""

    def __init__(self, socketio: SocketIO, registry: Registry, closer: ConnectionCloser) -> None:
        self._socketio = socketio
        self._registry = registry
        self._closer = closer
        self._bot_deltas = BotDeltas(socketio, registry, NAMESPACE)

    def poll(self) -> None:
        """Emit the changes of the rooms that sockets follow."""
        followed: defaultdict[UUID, list[Connection]] = defaultdict(list)
        for connection in self._registry.list_all():
            for room_id in list(connection.rooms):
                followed[room_id].append(connection)
        metrics.ROOMS_FOLLOWED.set(len(followed))
        revs = find_revs(sorted(followed)) if followed else {}
        for room_id, among in followed.items():
            known = min(one.rooms.get(room_id, 0) for one in among)
            if revs.get(room_id) != known:
                self._deliver(room_id, among, known)
        self._bot_deltas.emit(followed)

    def _deliver(self, room_id: UUID, connections: list[Connection], since_rev: int) -> None:
        try:
            page, readers = changes.read_for_members(room_id, since_rev=since_rev, limit=MAX_POLLED_CHANGES)
        except NotFound:
            self._remove(room_id, connections)
            return
        except CursorExpired as error:  # the database was restored
            for connection in connections:
                self._closer.close(connection, problem.of(error).code, reconnect=True)
            return
        for change in page.items:
            self._emit(change, room_id, connections, readers)
        self._remove(room_id, [one for one in connections if one.caller.user_id not in readers.joined])
        for connection in connections:
            if connection.rooms.get(room_id, page.rev) < page.rev:
                connection.rooms[room_id] = page.rev

    def _emit(self, change: RoomChange, room_id: UUID, connections: list[Connection], readers: RoomReaders) -> None:
        """Emit a change to the sockets that have not heard of it, as their users see it."""
        sids: defaultdict[View, list[str]] = defaultdict(list)
        for one in connections:
            view = readers.find_view(one.caller.user_id, change)
            is_new = one.rooms.get(room_id, change.rev) < change.rev
            if view is not None and is_new and self._registry.get(one.sid) is one:  # nothing follows `closing`
                sids[view].append(one.sid)
        for view, recipients in sids.items():
            event = dump_event(room_id, show(change, view))
            self._socketio.emit(change.event, event, namespace=NAMESPACE, to=recipients)
        if sids:
            lag.observe(change)

    def _remove(self, room_id: UUID, connections: Iterable[Connection]) -> None:
        """Take sockets out of a room; they stay open for other rooms."""
        for connection in connections:
            if connection.rooms.pop(room_id, None) is not None:
                self._socketio.emit("removed", {"room_id": room_id}, namespace=NAMESPACE, to=connection.sid)
