"""Each table that belongs to a user is followed by devices, or has a reason why not."""

import sqlalchemy as sa

from chatbot.database.base import db
from chatbot.models import User

RECORDED = {
    "chat_messages": "turn",
    "collection_members": "collection",
    "collections": "collection",
    "conversation_tags": "conversation",
    "conversations": "conversation",
    "documents": "document",
    "room_members": "membership",
    "room_messages": "room_message",
    "rooms": "room",
}
NOT_RECORDED = {
    "audit_entries": "acts of administrators, read at /api/admin/audit/ and /api/users/me/access-log/",
    "api_keys": "a list of its own, which is read where keys are managed",
    "budget_reservations": "of running turns, a part of their budgets",
    "budgets": "limits of the operator, read at /api/users/me/budgets/",
    "chunk_vectors": "a search's index, not shown",
    "chunks": "read at /api/documents/{id}/chunks/; a change of theirs is one of the document's version",
    "conversation_shares": "a list of its own, which is read where a conversation is shared",
    "conversation_summaries": "a part of prompts, not shown",
    "document_facts": "the document's metadata, as filters look for them",
    "document_pieces": "the document's upload; a change of theirs is one of the document's version",
    "external_identities": "names of users elsewhere, shown by no route",
    "feedback": "written by a client, shown by no route",
    "idempotency_keys": "of requests, not shown",
    "knowledge_changes": "followed by processes that search copies of vectors",
    "ledger": "what turns cost, read at /api/analytics/usage/",
    "mails": "of the job that sends them, not shown",
    "parser_usage": "of the operator's limits, not shown",
    "mail_tokens": "of mails, not shown",
    "room_invites": "a list of its own, which is read where a room is governed",
    "room_message_sources": "of the rights to an answer, not shown",
    "sessions": "of devices themselves",
    "sync_changes": "the record itself",
    "sync_counters": "the record itself",
    "turn_logs": "the text of a running turn, which devices follow at /api/chat/{id}/events/",
    "turn_traces": "read at /api/chat/{id}/trace/ where the cause of an answer is looked for",
    "vector_copies": "how far processes with copies of vectors are",
}


def find_tables_of_users() -> set[str]:
    """Return the tables with foreign keys that lead to users."""
    found = {User.__tablename__}
    while True:
        tables = [table for table in db.metadata.tables.values() if refers_to(table, found)]
        if found >= {table.name for table in tables}:
            return found - {User.__tablename__}
        found |= {table.name for table in tables}


def refers_to(table: sa.Table, names: set[str]) -> bool:
    return any(key.column.table.name in names for key in table.foreign_keys)


def test_each_table_of_users_is_recorded_or_has_its_reason() -> None:
    assert not RECORDED.keys() & NOT_RECORDED.keys()
    assert find_tables_of_users() == RECORDED.keys() | NOT_RECORDED.keys()
