"""The event `presence`: users that came into rooms with their first socket, or left them with the last."""

from collections import defaultdict
from collections.abc import Iterable, Set
from typing import Any
from uuid import UUID

from flask_socketio import SocketIO

from chatbot.schemas.sockets import PresenceEventSchema
from chatbot.services.rooms.records import RoomUser
from chatbot.services.rooms.signals.port import PresenceStore

from .connections import Connection, Registry
from .delivery import NAMESPACE

POLL_INTERVAL_SECONDS = 1.5  # between two events of one room

_presences = PresenceEventSchema()


class Presence:
    """Shows the sockets of rooms the users that are there, in any process."""

    def __init__(self, socketio: SocketIO, registry: Registry, store: PresenceStore) -> None:
        self._socketio = socketio
        self._registry = registry
        self._store = store
        self._announced: dict[UUID, Set[RoomUser]] = {}

    def list_present(self, room_id: UUID, user: RoomUser) -> list[RoomUser]:
        """Return the users in a room that a user has just joined, as the last event left them."""
        if room_id not in self._announced:
            own = {one.user for one in self._registry.list_all() if room_id in one.rooms and one.user}
            found = self._store.exchange({room_id: own})[room_id]
            self._announced.setdefault(room_id, found)
        return _sort({*self._announced.get(room_id, ()), user})

    def poll(self) -> None:
        """Emit the users that came and went since the last look."""
        sockets: defaultdict[UUID, list[Connection]] = defaultdict(list)
        for connection in self._registry.list_all():
            for room_id in list(connection.rooms):
                sockets[room_id].append(connection)
        own = {room_id: {one.user for one in among if one.user} for room_id, among in sockets.items()}
        left: dict[UUID, set[RoomUser]] = {room_id: set() for room_id in self._announced.keys() - own.keys()}
        for room_id, users in self._store.exchange(own | left).items():
            before = self._announced.pop(room_id, None)
            if room_id in own:
                self._announced[room_id] = users
            if before is not None and before != users:
                self._emit(room_id, sockets[room_id], joins=users - before, leaves=before - users)

    def _emit(
        self, room_id: UUID, connections: Iterable[Connection], *, joins: Set[RoomUser], leaves: Set[RoomUser]
    ) -> None:
        # Of the sockets, those that are still in the room: memberships end meanwhile.
        sids = [one.sid for one in connections if room_id in one.rooms]
        if sids:
            event: Any = {"room_id": room_id, "joins": _sort(joins), "leaves": _sort(leaves)}
            self._socketio.emit("presence", _presences.dump(event), namespace=NAMESPACE, to=sids)


def _sort(users: Iterable[RoomUser]) -> list[RoomUser]:
    return sorted(users, key=lambda one: (one.username, one.id))
