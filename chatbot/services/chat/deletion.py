"""Deletion of turns and conversations by their user, in batches: others' writes need not wait for a long one."""

from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, Conversation
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import conversation_rows
from .context import summaries
from .state import get_chat_state

BATCH = 150  # turns in one transaction: it holds SQLite's lock for some milliseconds


def delete_turn(caller: Caller, turn_id: UUID) -> None:
    """Delete a message of the caller's with all answers to it; one that is being written ends. Raises NotFound."""
    own = (ChatMessage.id == turn_id, ChatMessage.user_id == caller.user_id)
    with write("delete_turn") as connection:
        conversation_rows.lock(connection, sa.select(ChatMessage.conversation_id).where(*own))
        row = connection.execute(sa.select(ChatMessage.conversation_id, ChatMessage.root_id).where(*own)).one_or_none()
        if row is None:
            raise NotFound("There is no such turn.")
        of_message = ChatMessage.id == turn_id if row.root_id is None else ChatMessage.root_id == row.root_id
        ids = list(connection.scalars(sa.select(ChatMessage.id).where(of_message)))
        _delete_turns(connection, caller, row.conversation_id, ids)
    _stop(ids)


def delete_conversation(caller: Caller, conversation_id: UUID) -> None:
    """Delete one of the caller's conversations with all its turns; one that is being written ends. Raises NotFound."""
    while not _delete_some(caller, conversation_id):
        pass


def delete_history(caller: Caller) -> None:
    """Delete all conversations that the caller has at this moment, with their turns."""
    own = (Conversation.user_id == caller.user_id, Conversation.created_at <= now())
    while True:
        with read() as connection:
            found = connection.scalars(sa.select(Conversation.id).where(*own).limit(BATCH)).all()
        if not found:
            return
        for conversation_id in found:
            try:
                delete_conversation(caller, conversation_id)
            except NotFound:  # by another request, meanwhile
                continue


def _delete_some(caller: Caller, conversation_id: UUID) -> bool:
    """Delete a batch of a conversation's turns, and the conversation with the last one; returns whether it is gone."""
    with write("delete_conversation") as connection:
        own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id)
        if connection.scalar(sa.select(Conversation.id).where(*own).with_for_update()) is None:
            raise NotFound("There is no such conversation.")
        newest = sa.select(ChatMessage.id).where(ChatMessage.conversation_id == conversation_id)
        ids = list(connection.scalars(newest.order_by(ChatMessage.sequence.desc()).limit(BATCH)))
        is_last = len(ids) < BATCH
        _delete_turns(connection, caller, conversation_id, ids, records_conversation=not is_last)
        if is_last:
            connection.execute(sa.delete(Conversation).where(*own))
            gone = [Change("conversation", conversation_id, is_deleted=True)]
            changes.record(connection, caller.user_id, gone)
    _stop(ids)
    return is_last


def _delete_turns(
    connection: sa.Connection,
    caller: Caller,
    conversation_id: UUID,
    ids: list[UUID],
    *,
    records_conversation: bool = True,
) -> None:
    """Delete turns, with the rows of their foreign keys and summaries of them, and count the conversation's others."""
    statement = sa.delete(ChatMessage).where(ChatMessage.id.in_(ids))
    deleted = connection.execute(statement.returning(ChatMessage.listed, ChatMessage.sequence)).all()
    were_listed = any(row.listed for row in deleted)
    first = min((row.sequence for row in deleted), default=0)
    summaries.delete_covering(connection, conversation_id, first)
    left = (ChatMessage.conversation_id == conversation_id, ChatMessage.active, ChatMessage.listed)
    turns = sa.select(sa.func.count()).where(*left).scalar_subquery()
    newest = sa.select(sa.func.max(ChatMessage.created_at)).where(*left).scalar_subquery()
    activity_at = sa.func.coalesce(newest, Conversation.created_at)
    values = {"turns": turns, "activity_at": activity_at, "read_turn_id": conversation_rows.READ_TURN}
    connection.execute(sa.update(Conversation).where(Conversation.id == conversation_id).values(values))
    earlier = sa.exists().where(*left, ChatMessage.sequence < first)
    if not connection.scalar(sa.select(earlier)):
        conversation_rows.retitle(connection, [conversation_id])
    if were_listed:
        changed = changes.deleted("turn", ids)
        if records_conversation:
            changed.append(Change("conversation", conversation_id))
        changes.record(connection, caller.user_id, changed)


def _stop(ids: list[UUID]) -> None:
    """End those of deleted turns that run in this process; another one notices it when it renews their leases."""
    for turn_id in ids:
        running = get_chat_state().running_turns.get(turn_id)
        if running is not None:
            running.stop("cancelled")
