"""Stored summaries: one of each long conversation, claimed by its writer before, gone with each turn that it covers.

A claim is a row without a text. It says up to which turn the summary may reach, so that the deletion of a turn before
deletes the claim too: the summary of what is gone finds no row to be stored in.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import Conversation, ConversationSummary
from chatbot.rag.summaries import Summary
from chatbot.services.chat.records import SummaryRecord

CLAIM_LIFETIME = timedelta(minutes=10)  # no other summary is begun in it, also after a failure


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """The summary of a conversation's turns up to a sequence number, and how many they are."""

    last_sequence: int
    turns: int
    text: str

    def to_text(self) -> str:
        """Return the summary as a part of a prompt."""
        return f"Summary of the conversation so far:\n{self.text}"

    def to_record(self) -> SummaryRecord:
        """Return the summary as a trace names it."""
        return {"last_sequence": self.last_sequence, "turns": self.turns}


def find(connection: sa.Connection, conversation_id: UUID) -> StoredSummary | None:
    """Return the newest summary of a conversation, or None."""
    newest = _of(conversation_id).where(ConversationSummary.text != "")
    row = connection.execute(newest.order_by(ConversationSummary.last_sequence.desc()).limit(1)).one_or_none()
    return None if row is None else StoredSummary(row.last_sequence, (row.facts or {}).get("turns", 0), row.text)


def claim(conversation_id: UUID, last_sequence: int) -> bool:
    """Claim the summary of the turns up to this one; returns whether no other process has claimed one lately."""
    is_claim = (ConversationSummary.conversation_id == conversation_id, ConversationSummary.text == "")
    with write("claim_summary") as connection:
        _lock(connection, conversation_id)
        is_fresh = ConversationSummary.created_at > now() - CLAIM_LIFETIME
        is_known = sa.exists().where(*is_claim, is_fresh) | sa.exists().where(
            ConversationSummary.conversation_id == conversation_id,
            ConversationSummary.text != "",
            ConversationSummary.last_sequence >= last_sequence,
        )
        statement = sa.select(Conversation.id).where(Conversation.id == conversation_id, ~is_known)
        if connection.scalar(statement) is None:
            return False
        connection.execute(sa.delete(ConversationSummary).where(*is_claim))
        values = {"conversation_id": conversation_id, "last_sequence": last_sequence, "text": ""}
        connection.execute(sa.insert(ConversationSummary).values(values))
    return True


def store(conversation_id: UUID, *, claimed: int, last_sequence: int, turns: int, summary: Summary) -> bool:
    """Store a summary in place of its claim and of the summary before; returns whether the claim still stood."""
    facts: dict[str, Any] = {
        "turns": turns,
        "model": summary.model,
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
    }
    of_conversation = ConversationSummary.conversation_id == conversation_id
    claim_row = (of_conversation, ConversationSummary.last_sequence == claimed, ConversationSummary.text == "")
    with write("store_summary") as connection:
        _lock(connection, conversation_id)
        values = {"last_sequence": last_sequence, "text": summary.text, "facts": facts, "created_at": now()}
        if connection.execute(sa.update(ConversationSummary).where(*claim_row).values(values)).rowcount != 1:
            return False
        others = (of_conversation, ConversationSummary.last_sequence != last_sequence)
        connection.execute(sa.delete(ConversationSummary).where(*others))
    return True


def delete_covering(connection: sa.Connection, conversation_id: UUID, sequence: int) -> None:
    """Delete the summaries that cover a turn which is deleted or replaced."""
    of_conversation = ConversationSummary.conversation_id == conversation_id
    connection.execute(
        sa.delete(ConversationSummary).where(of_conversation, ConversationSummary.last_sequence >= sequence)
    )


def covers(conversation_id: UUID, sequence: int) -> sa.Exists:
    """Return the condition that a summary covers this turn."""
    of_conversation = ConversationSummary.conversation_id == conversation_id
    return sa.exists().where(of_conversation, ConversationSummary.last_sequence >= sequence)


def _of(conversation_id: UUID) -> sa.Select[*tuple[Any, ...]]:
    columns = (ConversationSummary.last_sequence, ConversationSummary.text, ConversationSummary.facts)
    return sa.select(*columns).where(ConversationSummary.conversation_id == conversation_id)


def _lock(connection: sa.Connection, conversation_id: UUID) -> None:
    connection.execute(sa.select(Conversation.id).where(Conversation.id == conversation_id).with_for_update()).all()
