"""The namespace `/rooms`: a client joins rooms, hears of their changes and writes into them."""

import time
from functools import partial
from typing import Any

from flask import request

from chatbot.schemas.room_messages import RoomMessageSchema, RoomUserSchema
from chatbot.schemas.rooms import MAX_CHANGES, RoomChangesSchema, RoomSchema
from chatbot.services.rooms import changes, messages, rooms
from chatbot.services.rooms.bot import questions
from chatbot.services.rooms.records import RoomUser
from chatbot.services.rooms.signals import users
from chatbot.web import admission, rate_limits
from chatbot.web.rate_limits import by_user, by_user_and_room

from .connections import Connection
from .namespace import Handlers, count_write
from .presence import Presence
from .typing_events import TypingEvents

_rooms = RoomSchema()
_messages = RoomMessageSchema()
_changes = RoomChangesSchema()
_users = RoomUserSchema(many=True)


def create_handlers(presence: Presence, typing_events: TypingEvents) -> Handlers:
    """Return the handlers of clients' events."""
    return {
        "join": partial(_join, presence),
        "leave": _leave,
        "message": _post,
        "read": _mark_read,
        "typing": partial(_publish_typing, typing_events),
    }


def _join(presence: Presence, connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    room_id = values["room_id"]
    admission.enter_page(connection.caller.user_id)
    started = time.monotonic()
    room = rooms.get(connection.caller, room_id)
    since_rev = values.get("since_rev", room.rev)
    page = changes.read_changes(connection.caller, room_id, since_rev=since_rev, limit=MAX_CHANGES)
    user = _get_user(connection)
    # Behind the page even where it is not complete: the client reads the rest itself.
    connection.rooms[room_id] = page.rev if not page.more else room.rev
    found = _changes.dump(page)
    admission.pace_pages(connection.caller.user_id, time.monotonic() - started)
    return {
        "room": _rooms.dump(room),
        "changes": found["items"],
        "rev": page.rev,
        "complete": not page.more,
        "present": _users.dump(presence.list_present(room_id, user)),
    }


def _leave(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    connection.rooms.pop(values["room_id"], None)
    return {}


def _post(connection: Connection, values: dict[str, Any]) -> Any:
    request.view_args = {"room_id": values["room_id"]}  # by which the limit counts, as of the route
    _count_message()
    if questions.is_asked(connection.caller, values["room_id"], values["text"]):
        rate_limits.count_turn()
    return _messages.dump(messages.post(connection.caller, **values).message)


@rate_limits.limit(RATE_WRITE_USER=by_user, RATE_ROOM_MESSAGE_USER=by_user_and_room)
def _count_message() -> None:
    """Count a message, together with those of the route."""


def _mark_read(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    count_write()
    messages.mark_read(connection.caller, values["room_id"], values["seq"])
    return {}


def _publish_typing(typing_events: TypingEvents, connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    users.require_writer(connection.caller, values["room_id"])
    typing_events.publish(values["room_id"], _get_user(connection))
    return {}


def _get_user(connection: Connection) -> RoomUser:
    """Return the user of a connection, loaded once; raises NotFound for a disabled account."""
    if connection.user is None:
        connection.user = users.load_user(connection.caller)
    return connection.user
