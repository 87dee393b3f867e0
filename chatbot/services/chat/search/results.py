"""Turns and conversations with the words of a query; each hit is joined with the tables for rights and liveness."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.query_plans import without_index
from chatbot.database.transactions import read
from chatbot.models import ChatMessage
from chatbot.rag.lexical.highlights import Highlighter
from chatbot.rag.lexical.history import HistoryIndex
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import history
from chatbot.services.chat.records import Turn
from chatbot.services.chat.state import get_chat_state

SPARE = 30  # hits that are looked at beyond the limit, in place of those that are gone
MAX_LOOKS = 4  # at four times as many hits each
LOADED = 25  # turns in one reading
MAX_MATCHES = 1_000  # turns whose conversations are listed: the newest; and titles

T = TypeVar("T")


def search_turns(caller: Caller, query: str, limit: int, *, conversation_id: UUID | None = None) -> list[Turn]:
    """Return up to `limit` of the caller's active turns with all words of a query, the best first.

    Where none has all, those that have some. They end at PAGE_BYTES of text. Raises NotFound for a conversation that is
    absent or another user's, Busy while the history is indexed for the first time.
    """
    if conversation_id is not None:
        with read() as connection:
            history.require_conversation(connection, caller, conversation_id)
    ids: list[UUID] = []
    for any_word in (False, True):
        ids = ids or _find_turns(caller, query, limit=limit, conversation_id=conversation_id, any_word=any_word)
    if not ids:
        return []
    analyzers = _search(caller, lambda index: index.list_analyzers(caller.user_id))
    return _cut_snippets(_load(caller, ids), query, analyzers)


def find_conversations(caller: Caller, query: str) -> list[UUID]:
    """Return the caller's conversations with all words of a query in their title or in one of their active turns.

    Where none has all, those that have some. The turns are the newest MAX_MATCHES that have them. Raises Busy while the
    history is indexed for the first time.
    """
    found: set[UUID] = set()
    for any_word in (False, True):
        if not found:
            found = _find_conversations(caller, query, any_word=any_word)
    return list(found)


def _find_turns(caller: Caller, query: str, *, limit: int, conversation_id: UUID | None, any_word: bool) -> list[UUID]:
    most = limit + SPARE

    def search(index: HistoryIndex) -> list[UUID]:
        return index.search("turn", caller.user_id, query, most, conversation_id=conversation_id, any_word=any_word)

    for _ in range(MAX_LOOKS):
        hits = _search(caller, search)
        alive = _find_alive(caller, hits, conversation_id)
        if len(alive) >= limit or len(hits) < most:
            break
        most *= 4
    return [one for one in hits if one in alive][:limit]


def _find_conversations(caller: Caller, query: str, *, any_word: bool) -> set[UUID]:
    def search(index: HistoryIndex) -> tuple[list[UUID], list[UUID]]:
        among = (caller.user_id, query, MAX_MATCHES)
        titles = index.search("title", *among, any_word=any_word)
        return titles, index.search("turn", *among, any_word=any_word, newest_first=True)

    titles, turns = _search(caller, search)
    return {*titles, *_find_alive(caller, turns).values()}


def _search(caller: Caller, action: Callable[[HistoryIndex], T]) -> T:
    return get_chat_state().history_index.search(caller.user_id, action)


def follow() -> bool:
    """Bring this host's index up to date, from the first search on; return whether it is."""
    return not get_chat_state().has_history_index or get_chat_state().history_index.follow_all()


def _find_alive(caller: Caller, ids: Sequence[UUID], conversation_id: UUID | None = None) -> dict[UUID, UUID]:
    """Return those of some turns that the caller's history lists, with their conversations."""
    shown = [
        without_index(ChatMessage.user_id) == caller.user_id,
        ChatMessage.active,
        ChatMessage.listed,
        ChatMessage.id.in_(ids),
    ]
    if conversation_id is not None:
        shown.append(ChatMessage.conversation_id == conversation_id)
    with read() as connection:
        rows = connection.execute(sa.select(ChatMessage.id, ChatMessage.conversation_id).where(*shown)).all()
    return {row.id: row.conversation_id for row in rows}


def _load(caller: Caller, ids: Sequence[UUID]) -> list[Turn]:
    """Return turns in the order of their ids, up to PAGE_BYTES of text but at least one."""
    turns: list[Turn] = []
    left = history.PAGE_BYTES
    for start in range(0, len(ids), LOADED):
        part = ids[start : start + LOADED]
        with read() as connection:
            by_id = {turn.id: turn for turn in history.load_turns(connection, caller, part)}
        for turn in (by_id[one] for one in part if one in by_id):
            left -= history.count_bytes(turn)
            if turns and left < 0:
                return turns
            turns.append(turn)
    return turns


def _cut_snippets(turns: Sequence[Turn], query: str, analyzers: Sequence[str]) -> list[Turn]:
    highlighter = Highlighter(query, analyzers)
    found = []
    for turn in turns:
        snippet = highlighter.cut([turn.user_message, turn.bot_response])
        found.append(replace(turn, snippet=snippet.text, highlights=tuple(snippet.highlights)))
        time.sleep(0)  # others need not wait for a page of long answers
    return found
