"""The usage of turns that were deleted while they ran: no row of theirs is left to be closed."""

from collections.abc import Container
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, LedgerEntry
from chatbot.models.usage import IS_OPEN

from . import hours, ledger, reservations
from .demand import find_use
from .ledger import Settlement

MAX_UNSETTLED = timedelta(minutes=1)  # after the opening of a turn, before the job looks whether it was deleted
BATCH = 200


def settle(turn_id: UUID, settlement: Settlement) -> None:
    """Write the end of a turn by its runner, also in place of that by `settle_all`."""
    is_settled_by_job = sa.and_(LedgerEntry.status == "cancelled", LedgerEntry.total_ms.is_(None))
    is_unsettled = (LedgerEntry.turn_id == turn_id, sa.or_(LedgerEntry.status == "pending", is_settled_by_job))
    with write("settle_usage") as connection:
        opened_at_ms = connection.scalar(sa.select(LedgerEntry.opened_at_ms).where(*is_unsettled).with_for_update())
        if opened_at_ms is not None:
            ledger.settle(connection, turn_id, settlement)
            reservations.settle(connection, turn_id, find_use(settlement))
            hours.invalidate(connection, opened_at_ms)


def settle_all(running: Container[UUID] = ()) -> int:
    """Settle the usage of turns left by their runners, as cancelled; returns their number.

    Turns that run in this process are left to it.
    """
    oldest = ledger.to_milliseconds(now() - MAX_UNSETTLED)
    has_turn = sa.exists().where(ChatMessage.id == LedgerEntry.turn_id)
    found = sa.select(LedgerEntry.turn_id).where(IS_OPEN, LedgerEntry.opened_at_ms < oldest, ~has_turn).limit(BATCH)
    with read() as connection:
        if connection.scalar(found.limit(1)) is None:
            return 0
    with write("settle_usage") as connection:
        ids = [one for one in connection.scalars(found.with_for_update(skip_locked=True)) if one not in running]
        if ids:
            ledger.settle_turns(connection, ids, "cancelled")
            reservations.settle_all(connection, ids)
    return len(ids)
