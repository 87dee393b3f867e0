"""Exports of a conversation, a page of turns at a time: a long one takes no more memory than a short one."""

from collections.abc import Iterator
from uuid import UUID

from flask import Flask

from chatbot.database import keyset
from chatbot.rag import pipeline
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import history
from chatbot.services.chat.conversations import ConversationRecord
from chatbot.services.chat.records import StoredCitation, Turn

PAGE = 50  # turns that are in memory at a time, fewer where they are long (history.PAGE_BYTES)
UNTITLED = "Conversation"


def read_pages(app: Flask, caller: Caller, conversation_id: UUID) -> Iterator[list[Turn]]:
    """Return an iterator of the conversation's active turns, oldest first; the first page is read now.

    Raises NotFound for a conversation that is absent or another user's, also while it is read.
    """
    return _iterate(app, caller, conversation_id, _read_page(app, caller, conversation_id))


def to_markdown(conversation: ConversationRecord, pages: Iterator[list[Turn]]) -> Iterator[str]:
    """Yield a conversation as Markdown."""
    yield f"# {_to_line(conversation.title or UNTITLED)}\n"
    for page in pages:
        yield "".join(map(_format_turn, page))


def build_file_name(conversation: ConversationRecord, ending: str) -> str:
    """Return the name of a file for an export, of the title's letters and digits."""
    words = "".join(letter if letter.isalnum() else " " for letter in conversation.title or UNTITLED).split()
    return f"{'-'.join(words)[:80] or UNTITLED}.{ending}"


def _iterate(app: Flask, caller: Caller, conversation_id: UUID, page: keyset.Page[Turn]) -> Iterator[list[Turn]]:
    yield page.items
    while page.last_key is not None:
        page = _read_page(app, caller, conversation_id, page.last_key)
        yield page.items


def _read_page(app: Flask, caller: Caller, conversation_id: UUID, after: keyset.Key | None = None) -> keyset.Page[Turn]:
    with app.app_context():  # the request is over when the second page is read
        return history.list_turns(caller, limit=PAGE, after=after, conversation_id=conversation_id)


def _format_turn(turn: Turn) -> str:
    status = "" if turn.status == "completed" else f" ({turn.status})"
    parts = [
        f"\n## User, {turn.created_at:%Y-%m-%d %H:%M} UTC\n\n{pipeline.close_fence(turn.user_message)}\n",
        f"\n## Assistant{status}\n\n{pipeline.close_fence(turn.bot_response)}\n",
    ]
    if turn.citations:
        parts.append("\n" + "".join(map(_format_citation, turn.citations)))
    return "".join(parts)


def _format_citation(citation: StoredCitation) -> str:
    marker = "" if citation["marker"] is None else f"[{citation['marker']}] "
    page = "" if citation["page"] is None else f", page {citation['page']}"
    quote = f': "{_to_line(citation["quote"])}"' if citation["quote"] else ""
    return f"- {marker}{_to_line(citation['title'])}{page}{quote}\n"


def _to_line(text: str) -> str:
    return " ".join(text.split())
