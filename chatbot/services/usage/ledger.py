"""The ledger: a row for each turn, written in the transactions of the turn itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.compiled import Prepared
from chatbot.models import LedgerEntry
from chatbot.services.accounts.callers import Caller

from . import prices

EntryPoint = Literal["api", "v1", "ui", "room"]
SETTLEMENT_PREFIX = "settled_"  # in front of the parameters of a settlement: some are called as those of the turn
ENTRY_PREFIX = "entry_"  # and of an entry
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_columns = LedgerEntry.__table__.c
_known_names = (  # of columns that a settlement has under the same names
    "status", "error", "model", "prompt_tokens", "completion_tokens", "first_text_ms", "total_ms", "passages",
    "grounded",
)  # fmt: skip
_settled_values = {
    name: sa.bindparam(f"{SETTLEMENT_PREFIX}{name}", type_=_columns[name].type) for name in (*_known_names, "micro_usd")
}
_opened_names = (
    "turn_id", "opened_at_ms", "user_id", "api_key_id", "conversation_id", "room_id", "collection_id", "entry",
    "status",
)  # fmt: skip
_INSERT = Prepared(sa.insert(LedgerEntry))
_SETTLE = Prepared(
    sa.update(LedgerEntry)
    .where(LedgerEntry.turn_id == sa.bindparam("settled_turn_id", type_=sa.Uuid()))
    .values(_settled_values)
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a turn comes from: the protocol, and the room of a room's answer."""

    entry: EntryPoint = "api"
    room_id: UUID | None = None


API = Origin()


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a turn as the ledger keeps it; `error` is the name of an error's class."""

    status: str
    error: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    grounded: float | None = None
    first_text_ms: int | None = None
    total_ms: int | None = None
    passages: int | None = None
    requested_model: str | None = None  # whose price is that of a model which its server calls otherwise

    def to_row(self) -> dict[str, Any]:
        """Return the values of the columns, with the cost by the prices of this moment."""
        models = (self.model, self.requested_model)
        cost = prices.find_cost(models, self.prompt_tokens, self.completion_tokens)
        row = {f"{SETTLEMENT_PREFIX}{name}": getattr(self, name) for name in _known_names}
        return row | {f"{SETTLEMENT_PREFIX}micro_usd": cost}


def to_milliseconds(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def build_row(
    caller: Caller, origin: Origin, turn: Mapping[str, Any], collection_id: UUID | None = None
) -> dict[str, Any]:
    """Return the columns of the entry of a turn that opens, by the columns of the turn."""
    return {
        "turn_id": turn["id"],
        "opened_at_ms": to_milliseconds(turn["created_at"]),
        "user_id": caller.user_id,
        "api_key_id": None if caller.scopes is None else caller.credential_id,
        "conversation_id": turn["conversation_id"],
        "room_id": origin.room_id,
        "collection_id": collection_id,
        "entry": origin.entry,
        "status": "pending",
    }


def open_entry(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    """Insert the entry of a turn, in the transaction that opens it."""
    _INSERT.execute(connection, row)


def settle(connection: sa.Connection, turn_id: UUID, settlement: Settlement) -> None:
    """Write the end of a turn, in the transaction that closes it."""
    _SETTLE.execute(connection, {"settled_turn_id": turn_id, **settlement.to_row()})


def build_entry() -> sa.CTE:
    """Return the part of a statement of PostgreSQL that inserts an entry, its parameters behind `ENTRY_PREFIX`."""
    values = {name: sa.bindparam(f"{ENTRY_PREFIX}{name}", type_=_columns[name].type) for name in _opened_names}
    return sa.insert(LedgerEntry).values(values).cte("entered")


def build_settlement(turn_id: sa.ColumnElement[UUID]) -> sa.CTE:
    """Return the part of a statement of PostgreSQL that settles the entry of a turn, its parameters by `to_row`."""
    return sa.update(LedgerEntry).where(LedgerEntry.turn_id == turn_id).values(_settled_values).cte("settled")


def settle_turns(connection: sa.Connection, turn_ids: Sequence[UUID], status: str) -> None:
    """Write the end of turns of which nothing else is known, in the transaction that closes them."""
    of_these = LedgerEntry.turn_id.in_(turn_ids)
    connection.execute(sa.update(LedgerEntry).where(of_these).values(status=status))


def rate(connection: sa.Connection, turn_id: UUID, rating: int) -> None:
    """Store the rating of a turn."""
    connection.execute(sa.update(LedgerEntry).where(LedgerEntry.turn_id == turn_id).values(rating=rating))
