"""Upkeep of running turns: leases, saved texts, cancel requests, and the reaper of abandoned turns."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from chatbot.database import leases
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.models import ChatMessage, TurnLogPiece
from chatbot.models.chat import IS_RUNNING
from chatbot.rag import pipeline
from chatbot.rag.errors import ModelUnavailable
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change
from chatbot.services.usage import deleted_turns, ledger, reservations

from .running_turns import RunningTurn
from .state import get_chat_state
from .turn_statements import LEASE
from .turns import RELEASED

BATCH = 200  # turns in one transaction; it holds SQLite's lock, and every stream, for 2 ms at most

# `IS_RUNNING` and not `in_(RUNNING)`: bound parameters match no partial index of SQLite, which then reads the whole
# table on the hub, and they cannot be many rows' at a time.
IS_HELD = (
    ChatMessage.id == sa.bindparam("turn"),
    ChatMessage.lease_token == sa.bindparam("held"),
    IS_RUNNING,
)
SAVE_PIECE = sa.insert(TurnLogPiece).from_select(
    ["turn_id", "start", "text"],
    # Locked on PostgreSQL: a turn that is closed meanwhile would leave this piece behind.
    sa.select(ChatMessage.id, sa.cast(sa.bindparam("at"), sa.Integer), sa.cast(sa.bindparam("said"), sa.Text))
    .where(*IS_HELD)
    .with_for_update(read=True),
)
SAY_STREAMING = sa.update(ChatMessage).where(*IS_HELD).values(status="streaming")

T = TypeVar("T")
log = structlog.get_logger(__name__)


def probe_models() -> None:
    """Ask the servers of the model and its fallbacks whether they answer, and log each new fault."""
    try:
        llm = get_chat_state().llm()
    except ModelUnavailable:  # which the start has logged
        return
    known = llm.faults()
    llm.probe()
    for model, before, fault in zip(llm.models, known, llm.faults(), strict=True):
        if fault is not None and (before is None or before.detail != fault.detail):
            log.warning("the model's server fails", model=model.name, detail=fault.detail)


def flush_texts() -> int:
    """Save the new text of this process's running turns; returns the number of turns with new text."""
    talking = [one for one in get_chat_state().running_turns.values() if one.text.length > one.saved_length]
    for batch in _batches(talking):
        lengths = [one.text.length for one in batch]
        for one in batch:
            one.is_logged = True
        pieces = [_row(one) | {"at": one.saved_length, "said": one.text.since(one.saved_length)} for one in batch]
        began = [_row(one) for one in batch if not one.saved_length]
        try:
            with write("save_texts") as connection:
                connection.execute(SAVE_PIECE, pieces)
                if began:
                    connection.execute(SAY_STREAMING, began)
        except IntegrityError:
            _find_saved(batch)
            continue
        for one, length in zip(batch, lengths, strict=True):
            one.saved_length = length
    return len(talking)


def _find_saved(batch: list[RunningTurn]) -> None:
    """Read the saved lengths of texts after a commit without an acknowledgement."""
    lengths = sa.select(TurnLogPiece.turn_id, sa.func.sum(sa.func.length(TurnLogPiece.text)))
    of_these = TurnLogPiece.turn_id.in_([one.turn.id for one in batch])
    with read() as connection:
        rows = connection.execute(lengths.where(of_these).group_by(TurnLogPiece.turn_id))
        saved: dict[UUID, int] = {row[0]: row[1] for row in rows}
    for one in batch:
        one.saved_length = saved.get(one.turn.id, 0)


def apply_cancellations() -> None:
    """Stop the turns of this process that were cancelled through another one."""
    running = get_chat_state().running_turns
    if not running:
        return
    conditions = (ChatMessage.cancel_requested_at.is_not(None), IS_RUNNING)
    with read() as connection:
        for turn_id in connection.scalars(sa.select(ChatMessage.id).where(*conditions)):
            if turn_id in running:
                running[turn_id].stop("cancelled")


def keep_leases() -> None:
    """Renew leases, then reap: a process that was stopped for long keeps the turns that it has not lost."""
    renew_leases()
    close_abandoned()
    deleted_turns.settle_all(get_chat_state().running_turns)


def renew_leases() -> None:
    """Keep the turns of this process, and stop those that it has lost to the reaper of another one."""
    for batch in _batches(list(get_chat_state().running_turns.values())):
        held = [one.turn.lease_token for one in batch]
        conditions = (ChatMessage.lease_token.in_(held), IS_RUNNING)
        statement = sa.update(ChatMessage).where(*conditions).values(lease_expires_at=now() + LEASE)
        with write("renew_leases") as connection:
            renewed = set(connection.scalars(statement.returning(ChatMessage.id)))
        for one in batch:
            if one.turn.id not in renewed:
                one.stop("lost")


def close_abandoned() -> int:
    """Close every turn without a live lease as `interrupted`, with the text so far; returns how many there were."""
    closed = 0
    while True:
        abandoned = (IS_RUNNING, leases.is_expired(ChatMessage.lease_expires_at, LEASE))
        statement = sa.select(ChatMessage.id).where(*abandoned).limit(BATCH)
        with read() as connection:
            if not connection.scalars(statement).all():
                return closed
        with write("close_abandoned") as connection:
            ids = connection.scalars(statement.with_for_update(skip_locked=True)).all()
            _interrupt(connection, ids)
        closed += len(ids)
        log.warning("turns interrupted", turns=[str(turn_id) for turn_id in ids])
        if not ids:  # another process is at it
            return closed


def _interrupt(connection: sa.Connection, ids: Sequence[Any]) -> None:
    if not ids:
        return
    of_these = TurnLogPiece.turn_id.in_(ids)
    rows = connection.execute(
        sa.select(TurnLogPiece.turn_id, TurnLogPiece.text)
        .where(of_these)
        .order_by(TurnLogPiece.turn_id, TurnLogPiece.start)
    ).all()
    texts = {
        turn_id: pipeline.close_fence("".join(row.text for row in group))
        for turn_id, group in groupby(rows, lambda row: row.turn_id)
    }
    statement = sa.update(ChatMessage).where(ChatMessage.id == sa.bindparam("turn_id"))
    ended = {"status": "interrupted", "completed_at": now(), **RELEASED}
    connection.execute(
        statement.values(**ended), [{"turn_id": turn_id, "bot_response": texts.get(turn_id, "")} for turn_id in ids]
    )
    connection.execute(sa.delete(TurnLogPiece).where(of_these))
    ledger.settle_turns(connection, ids, "interrupted")
    reservations.settle_all(connection, ids)
    _record(connection, ids)


def _record(connection: sa.Connection, ids: Sequence[Any]) -> None:
    """Record the changes of turns for their users."""
    columns = (ChatMessage.user_id, ChatMessage.id)
    changed: defaultdict[UUID, list[Change]] = defaultdict(list)
    for row in connection.execute(sa.select(*columns).where(ChatMessage.id.in_(ids), ChatMessage.listed)):
        changed[row.user_id].append(Change("turn", row.id))
    changes.record_all(connection, changed)


def _row(one: RunningTurn) -> dict[str, Any]:
    return {"turn": one.turn.id, "held": one.turn.lease_token}


def _batches(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
