"""Rows that have expired: each function deletes up to `most` of a kind and returns their number."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from chatbot.database.types import now
from chatbot.models import (
    ApiKey,
    ChatMessage,
    CodeGuess,
    Conversation,
    ConversationShare,
    IdempotencyKey,
    KnowledgeChange,
    MailToken,
    Session,
    SyncChange,
)
from chatbot.models.sync import IS_DELETED
from chatbot.services import idempotency
from chatbot.services.sync import changes
from chatbot.services.usage import budgets

FOLLOWED_FOR = timedelta(days=2)  # how long a change of the knowledge base is kept for processes that follow
COUNTED_FOR = timedelta(hours=1)  # mail_tokens, as mails to an account
DRAFT = timedelta(hours=1)  # in which a fork is written


def delete_drafts(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete the copies of a fork that broke off: no list shows them."""
    broken_off = (~Conversation.listed, Conversation.forked_from.is_not(None), Conversation.created_at < now() - DRAFT)
    draft = connection.scalar(sa.select(Conversation.id).where(*broken_off).limit(1))
    if draft is None:
        return 0
    some = sa.select(ChatMessage.id).where(ChatMessage.conversation_id == draft).limit(most)
    deleted = connection.execute(sa.delete(ChatMessage).where(ChatMessage.id.in_(some))).rowcount
    return deleted or connection.execute(sa.delete(Conversation).where(Conversation.id == draft)).rowcount


def delete_sessions(connection: sa.Connection, cutoff: datetime, most: int) -> int:
    """Delete sessions that expired before a time."""
    old = sa.select(Session.id).where(Session.expires_at < cutoff).limit(most)
    return connection.execute(sa.delete(Session).where(Session.id.in_(old))).rowcount


def delete_api_keys(connection: sa.Connection, cutoff: datetime, most: int) -> int:
    """Delete API keys that expired before a time."""
    old = sa.select(ApiKey.id).where(ApiKey.expires_at < cutoff).limit(most)
    return connection.execute(sa.delete(ApiKey).where(ApiKey.id.in_(old))).rowcount


def delete_hidden_api_keys(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete client tokens, and keys of logins elsewhere, that have expired."""
    old = sa.select(ApiKey.id).where(ApiKey.is_hidden, ApiKey.expires_at < now()).limit(most)
    return connection.execute(sa.delete(ApiKey).where(ApiKey.id.in_(old))).rowcount


def delete_shares(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete shares that have expired."""
    old = sa.select(ConversationShare.id).where(ConversationShare.expires_at < now()).limit(most)
    return connection.execute(sa.delete(ConversationShare).where(ConversationShare.id.in_(old))).rowcount


def delete_keys(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete idempotency keys that have expired."""
    old = IdempotencyKey.created_at < now() - idempotency.LIFETIME
    name = sa.tuple_(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key)
    oldest = sa.select(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key).where(old)
    return connection.execute(sa.delete(IdempotencyKey).where(name.in_(oldest.limit(most)))).rowcount


def delete_changes(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete changes of the knowledge base that all processes have followed."""
    old = sa.select(KnowledgeChange.id).where(KnowledgeChange.created_at < now() - FOLLOWED_FOR).limit(most)
    return connection.execute(sa.delete(KnowledgeChange).where(KnowledgeChange.id.in_(old))).rowcount


def delete_tombstones(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete records of deletions that no device needs any more."""
    key = sa.tuple_(SyncChange.user_id, SyncChange.position)
    is_old = SyncChange.changed_at < now() - changes.KEPT_FOR
    old = sa.select(SyncChange.user_id, SyncChange.position).where(IS_DELETED, is_old)  # in the words of the index
    return connection.execute(sa.delete(SyncChange).where(key.in_(old.limit(most)))).rowcount


def delete_mail_tokens(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete mail_tokens that prove nothing any more, but for those that are counted."""
    old = sa.select(MailToken.id).where(MailToken.expires_at < now() - COUNTED_FOR).limit(most)
    return connection.execute(sa.delete(MailToken).where(MailToken.id.in_(old))).rowcount


def delete_code_guesses(connection: sa.Connection, _: datetime, most: int) -> int:
    """Delete guesses of codes that have expired."""
    old = sa.select(CodeGuess.key).where(CodeGuess.expires_at < now()).limit(most)
    return connection.execute(sa.delete(CodeGuess).where(CodeGuess.key.in_(old))).rowcount


OTHERS = (
    delete_api_keys,
    delete_hidden_api_keys,
    budgets.delete_without_key,
    delete_mail_tokens,
    delete_code_guesses,
    delete_shares,
    delete_keys,
    delete_changes,
    delete_tombstones,
)
