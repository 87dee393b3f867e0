"""The users behind signals."""

from uuid import UUID

from chatbot.database.transactions import read
from chatbot.services.accounts.callers import Caller
from chatbot.services.rooms import members, rows
from chatbot.services.rooms.records import RoomUser


def load_user(caller: Caller) -> RoomUser:
    """Return a caller as other users see them; raises NotFound for one that is disabled."""
    with read() as connection:
        return RoomUser(caller.user_id, members.load_username(connection, caller.user_id))


def require_writer(caller: Caller, room_id: UUID) -> None:
    """Raise NotFound for no member of a room, Forbidden for one that only reads it."""
    with read() as connection:
        rows.require_role(connection, caller, room_id, rows.WRITERS)
