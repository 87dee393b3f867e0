"""The application with some turns unrecorded, beside which the cost of recording is measured (`make bench-sync`).

Both kinds run in one process: two of the same program differ by more than what recording takes.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot import create_app
from chatbot.services.chat import turn_statements
from chatbot.services.sync import changes

UNRECORDED = "unrecorded"  # in the message of such a turn

_turn_ids: set[UUID] = set()
_open_first = turn_statements.open_first
_close = turn_statements.close
_record_turn = changes.record_turn


def _open_first_or_unrecorded(
    connection: sa.Connection, role: str, turn: Mapping[str, Any], conversation: Mapping[str, Any], *, listed: bool
) -> bool:
    """Take the place of `open_first`."""
    if UNRECORDED in turn["user_message"]:
        _turn_ids.add(turn["id"])
        listed = False
    return _open_first(connection, role, turn, conversation, listed=listed)


def _close_or_unrecorded(connection: sa.Connection, turn_id: UUID, held_token: UUID, values: Mapping[str, Any]) -> bool:
    """Take the place of `close`."""
    if turn_id not in _turn_ids:
        return _close(connection, turn_id, held_token, values)
    held = {"turn_id": turn_id, "held_token": held_token}
    return turn_statements.CLOSE.run(connection, {**values, **held}).rowcount == 1


def _record_turn_unless_unrecorded(connection: sa.Connection, user_id: UUID, turn_id: UUID) -> None:
    """Take the place of `record_turn`."""
    if turn_id in _turn_ids:
        _turn_ids.remove(turn_id)
    else:
        _record_turn(connection, user_id, turn_id)


turn_statements.open_first = _open_first_or_unrecorded
turn_statements.close = _close_or_unrecorded
changes.record_turn = _record_turn_unless_unrecorded
app = create_app()
