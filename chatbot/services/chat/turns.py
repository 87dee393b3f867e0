"""A turn's life in the database: opened before the model is called, closed exactly once."""

from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from chatbot import adapters
from chatbot.database.transactions import autocommit, write
from chatbot.database.types import now, uuid7
from chatbot.errors import (
    ConversationBusy,
    InvalidInput,
    LeaseLost,
    ModelNotFound,
    NotFound,
    NotTheLastTurn,
    TooManySiblings,
)
from chatbot.models import ChatMessage, TurnLogPiece, TurnTrace
from chatbot.models.chat import RUNNING
from chatbot.services import idempotency
from chatbot.services.accounts import authentication
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.search import readable
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change
from chatbot.services.usage.ledger import API, Origin

from . import conversation_rows, turn_statements
from .context import summaries
from .conversation_rows import Opening
from .copies import quotes
from .records import (
    DEFAULT_OPTIONS,
    NO_MEASUREMENTS,
    Measurements,
    OpenedTurn,
    OpenResult,
    Outcome,
    Trace,
    Turn,
    TurnOptions,
)
from .spending import demands

MAX_SIBLINGS = 16  # turns that answer one message: each page of a history lists those of all its turns
RELEASED: dict[str, Any] = {"lease_token": None, "lease_expires_at": None}
DELETE_LOG = sa.delete(TurnLogPiece).where(TurnLogPiece.turn_id == sa.bindparam("turn_id"))
OUTCOME = tuple(one.name for one in fields(Outcome))


def open_turn(
    caller: Caller,
    message: str,
    conversation_id: UUID | None = None,
    *,
    external_id: str | None = None,
    options: TurnOptions = DEFAULT_OPTIONS,
    key: idempotency.Key | None = None,
    listed: bool = True,
    origin: Origin = API,
) -> OpenResult:
    """Commit the user's message as a pending turn, in a new conversation unless one is named.

    An `external_id` names the conversation that has it, or is given to the new one; instructions stay with a new
    conversation. A key that opened a turn before returns that one, unless it may be tried again. Raises NotFound for a
    conversation or collection that is absent or another user's, ModelNotFound, InvalidInput for more tokens than may be
    asked for, ConversationBusy, BudgetExhausted, IdempotencyKeyReused, NotTheLastTurn, TooManySiblings.
    """
    check_options(caller, options)
    opening = Opening(message, now(), conversation_id, external_id, options.instructions, listed=listed, origin=origin)
    return _open_or_replay(caller, opening, options, key)


def _open_or_replay(
    caller: Caller, opening: Opening, options: TurnOptions, key: idempotency.Key | None, *, is_retry: bool = False
) -> OpenResult:
    if key is None and opening.begins_conversation and not caller.has_budgets:
        return _open_first(caller, opening, options)
    try:
        with write("open_turn") as connection:
            known = _find_known(connection, caller, key) if key else None
            if key and known:
                return _replay_or_retry(connection, caller, known, key, opening.origin)
            turn = open_within(connection, caller, opening, options)
            if key:
                idempotency.store(connection, caller.user_id, key, turn.id)
            _record(connection, caller, turn)
            return OpenResult(turn.id, turn)
    except IntegrityError as error:
        if is_retry or opening.conversation_id is not None or opening.external_id is None:
            return _resolve_key_conflict(caller, key, error)
    # A request with the same external id began the conversation in the same moment, or its last turn runs.
    return _open_or_replay(caller, opening, options, key, is_retry=True)


def _open_first(caller: Caller, opening: Opening, options: TurnOptions) -> OpenResult:
    """Open a turn in a new conversation, in a single statement where the database has one for it."""
    conversation = conversation_rows.build_first_row(caller, opening)
    turn = build_turn(opening, conversation_rows.Place(conversation["id"], 1, opening.instructions), options)
    with autocommit("open_turn") as connection:
        opened = turn_statements.open_first(connection, caller, turn, conversation)
    return OpenResult(turn.id, opened)


def open_within(connection: sa.Connection, caller: Caller, opening: Opening, options: TurnOptions) -> OpenedTurn:
    """Open a turn in a transaction that records its change; raises NotFound, BudgetExhausted."""
    place = conversation_rows.enter(connection, caller, opening)
    turn = build_turn(opening, place, options)
    return turn_statements.insert(connection, caller, turn)


def build_turn(opening: Opening, place: conversation_rows.Place, options: TurnOptions) -> OpenedTurn:
    """Return the turn that opens with a message; nothing is written."""
    return OpenedTurn(
        id=uuid7(),
        conversation_id=place.conversation_id,
        user_message=opening.message,
        created_at=opening.created_at,
        lease_token=uuid7(),
        sequence=place.sequence,
        options=_complete_options(options, place),
        instructions=options.instructions or place.instructions,
        listed=opening.listed,
        origin=opening.origin,
    )


def regenerate(
    caller: Caller, turn_id: UUID, *, key: idempotency.Key | None = None, origin: Origin = API
) -> OpenResult:
    """Open a sibling of the conversation's last turn, which takes its place.

    A key that opened a turn before returns that one. Raises NotFound, ConversationBusy, BudgetExhausted,
    NotTheLastTurn, IdempotencyKeyReused, TooManySiblings.
    """
    try:
        with write("regenerate") as connection:
            known = _find_known(connection, caller, key) if key else None
            if key and known:
                return _replay_or_retry(connection, caller, known, key, origin)
            old = _lock_turn(connection, caller, turn_id)
            turn = _open_sibling(connection, caller, old, origin)
            if key:
                idempotency.store(connection, caller.user_id, key, turn.id)
            _record(connection, caller, turn, replaced_id=old.id)
            return OpenResult(turn.id, turn)
    except (NotTheLastTurn, ConversationBusy):
        # Perhaps by a request with the same key, which came in the same moment.
        known = idempotency.find_committed(caller.user_id, key)
        if known is None:
            raise
        return OpenResult(known)
    except IntegrityError as error:
        return _resolve_key_conflict(caller, key, error)


def close_turn(
    caller: Caller,
    turn: OpenedTurn,
    outcome: Outcome,
    *,
    measurements: Measurements = NO_MEASUREMENTS,
    logged: bool = False,
    trace: Trace | None = None,
) -> Turn:
    """Write a turn's terminal state, and the trace if there is one, and return the turn; `logged` text is deleted.

    Raises LeaseLost when it was closed by another process meanwhile.
    """
    values = {one: getattr(outcome, one) for one in OUTCOME} | {"completed_at": now()}
    is_single = not logged and trace is None and not caller.has_budgets
    with autocommit("close_turn") if is_single else write("close_turn") as connection:
        values["citations"], trace = quotes.blank_deleted_documents(connection, outcome.citations, trace)
        if caller.has_budgets:
            demands.settle(connection, turn, turn_statements.build_settlement(values, measurements))
        if not turn_statements.close(connection, turn, values={**values, **RELEASED}, measurements=measurements):
            raise LeaseLost(f"Turn {turn.id} was closed by another process.")
        if logged:
            connection.execute(DELETE_LOG, {"turn_id": turn.id})
        if trace is not None:
            connection.execute(sa.insert(TurnTrace), {"turn_id": turn.id, "facts": trace})
        if connection.dialect.name != "postgresql":  # there the statement has done it
            _record(connection, caller, turn)
    return turn.to_turn(**values)


def _find_known(connection: sa.Connection, caller: Caller, key: idempotency.Key) -> UUID | None:
    """Return the turn that a key opened before, or None; raises IdempotencyKeyReused.

    Its conversation is locked before the key: a deletion locks that first, and its cascade takes the key.
    """
    turn_id = idempotency.find_turn_id(connection, caller.user_id, key)
    if turn_id is None:
        return None
    conversation_rows.lock(connection, sa.select(ChatMessage.conversation_id).where(ChatMessage.id == turn_id))
    return idempotency.find(connection, caller.user_id, key)


def _lock_turn(connection: sa.Connection, caller: Caller, turn_id: UUID) -> sa.Row[Any]:
    """Lock a turn's conversation, then the turn, in the order in which deletions do; raises NotFound."""
    own = (ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    conversation_rows.lock(connection, sa.select(ChatMessage.conversation_id).where(*own))
    row = connection.execute(sa.select(ChatMessage.__table__).where(*own).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("There is no such turn.")
    return row


def _open_sibling(connection: sa.Connection, caller: Caller, old: sa.Row[Any], origin: Origin) -> OpenedTurn:
    """Open another try of the conversation's last turn; the old one steps back."""
    if old.status in RUNNING:
        raise ConversationBusy("The turn is still running.", retry_after=1)
    moment = now()
    place = conversation_rows.replace_turn(connection, caller, old.conversation_id, moment)
    later = (ChatMessage.conversation_id == old.conversation_id, ChatMessage.sequence > old.sequence)
    is_covered = summaries.covers(old.conversation_id, old.sequence)
    found = connection.execute(sa.select(sa.exists().where(*later).label("later"), is_covered.label("covered"))).one()
    if found.later:
        raise NotTheLastTurn("The conversation went on after this turn.")
    if found.covered:
        summaries.delete_covering(connection, old.conversation_id, old.sequence)
    root = old.root_id or old.id
    connection.execute(sa.update(ChatMessage).where(ChatMessage.id == old.id).values(active=False, root_id=root))
    statement = sa.select(ChatMessage.id).where(ChatMessage.root_id == root).order_by(ChatMessage.sequence)
    siblings = connection.scalars(statement.limit(MAX_SIBLINGS)).all()
    if len(siblings) == MAX_SIBLINGS:
        raise TooManySiblings(f"A message may have {MAX_SIBLINGS} answers; send it again to go on.")
    options = TurnOptions.from_json(old.asked)
    turn = OpenedTurn(
        id=uuid7(),
        conversation_id=old.conversation_id,
        user_message=old.user_message,
        created_at=moment,
        lease_token=uuid7(),
        sequence=place.sequence,
        siblings=tuple(siblings),
        options=options,
        instructions=options.instructions or place.instructions,
        listed=old.listed,
        origin=origin,
    )
    return turn_statements.insert(connection, caller, turn, root)


def check_options(caller: Caller, options: TurnOptions) -> None:
    """Raise NotFound, ModelNotFound or InvalidInput for options that the caller may not choose."""
    if options.collection_ids:
        readable.find_searched_collections(caller, options.collection_ids)
    if options.model is not None and options.model not in adapters.list_model_names(current_app.config):
        raise ModelNotFound(f"The model {options.model!r} does not exist here; GET /v1/models lists those that do.")
    most = current_app.config["OPENAI_MAX_TOKENS"]
    if options.max_tokens is not None and options.max_tokens > most:
        raise InvalidInput({"max_tokens": [f"At most {most} tokens may be asked for."]})


def _complete_options(options: TurnOptions, place: conversation_rows.Place) -> TurnOptions:
    """Return the options to store: with the conversation's collections, without its own instructions."""
    if options.instructions is not None and options.instructions == place.instructions:
        options = replace(options, instructions=None)
    if options.collection_ids is None and place.collection_ids:
        options = replace(options, collection_ids=tuple(UUID(one) for one in place.collection_ids))
    return options


def _record(connection: sa.Connection, caller: Caller, turn: OpenedTurn, *, replaced_id: UUID | None = None) -> None:
    """Record a change of a turn; one that it replaced is not shown any more."""
    if not turn.listed:
        return
    if replaced_id is None:
        changes.record_turn(connection, caller.user_id, turn.id)
    else:
        replaced = changes.deleted("turn", [replaced_id])
        changes.record(connection, caller.user_id, [*replaced, Change("turn", turn.id)])


def _replay_or_retry(
    connection: sa.Connection, caller: Caller, turn_id: UUID, key: idempotency.Key, origin: Origin
) -> OpenResult:
    """Return the turn of a key that was used before, or another try of one that may succeed now."""
    old = _lock_turn(connection, caller, turn_id)
    if old.status != "interrupted" and (old.status != "failed" or old.error not in key.retryable):
        return OpenResult(turn_id)
    turn = _open_sibling(connection, caller, old, origin)
    idempotency.reassign(connection, caller.user_id, key, turn.id)
    _record(connection, caller, turn, replaced_id=old.id)
    return OpenResult(turn.id, turn)


def _resolve_key_conflict(caller: Caller, key: idempotency.Key | None, error: IntegrityError) -> OpenResult:
    """Return the turn that a request with the same key opened in the same moment; else the conversation is busy."""
    known = idempotency.find_committed(caller.user_id, key)
    if known:
        return OpenResult(known)
    authentication.require_account(caller)
    raise ConversationBusy("The conversation's last turn is still running.", retry_after=1) from error
