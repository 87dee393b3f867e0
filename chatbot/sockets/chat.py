"""The namespace `/chat`: a client sends messages to the bot, and follows their turns from any offset."""

from functools import partial
from typing import Any

from chatbot.schemas.chat import TurnSchema
from chatbot.services.accounts import authentication
from chatbot.services.chat import execution, following, turns
from chatbot.services.chat.records import TurnOptions
from chatbot.web import admission, idempotency, rate_limits

from .connections import Connection
from .namespace import Handlers, count_write
from .turn_readers import TurnReaders

NAMESPACE = "/chat"
ROUTE = "/api/chat"  # whose keys of idempotency hold here too

_turns = TurnSchema()


def create_handlers(turn_readers: TurnReaders) -> Handlers:
    """Return the handlers of clients' events."""
    return {
        "send": partial(_send, turn_readers),
        "follow": partial(_follow, turn_readers),
        "cancel": _cancel,
    }


def _send(turn_readers: TurnReaders, connection: Connection, values: dict[str, Any]) -> Any:
    """Open a turn as `POST /api/chat/` does, and follow it."""
    caller = authentication.require_open(connection.caller)  # as they are now: they may have budgets since
    client_id = values.pop("client_id", None)
    key = None if client_id is None else idempotency.make_key(ROUTE, client_id, values, name="client_id")
    rate_limits.count_turn()
    admission.enter_stream(caller.user_id)
    options = TurnOptions.take(values)
    result = execution.open_and_start(caller, lambda: turns.open_turn(caller, **values, options=options, key=key), key)
    turn = following.get_result_turn(caller, result)
    turn_readers.start(connection, turn.id, 0)
    return _turns.dump(turn)


def _follow(turn_readers: TurnReaders, connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    admission.enter_stream(connection.caller.user_id)
    turn = following.get_turn(connection.caller, values["turn_id"])
    turn_readers.start(connection, turn.id, values["offset"])
    return {}


def _cancel(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    count_write()
    execution.cancel(connection.caller, values["turn_id"])
    return {}
