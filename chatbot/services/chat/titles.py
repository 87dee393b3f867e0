"""Titles of conversations that a model makes beside all else, at their user's request."""

import _thread
import contextlib
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
import structlog
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import ChatbotError, NoAnswer, NotFound
from chatbot.models import ChatMessage, Conversation
from chatbot.rag import special_tokens
from chatbot.rag.errors import AdapterError
from chatbot.rag.types import CompletionRequest, Message
from chatbot.services.accounts.callers import Caller
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change

from . import conversation_rows
from .context import questions
from .history import SHOWN_STATUSES
from .state import get_chat_state

INSTRUCTIONS = (
    "You name conversations. Answer with a title of the conversation alone: two to six words in its own language, "
    "without quotes and without a full stop. Do not answer what is asked in it."
)
QUESTION = "A title of this conversation:"
MAX_TURNS = 3  # that the model is shown, the first ones
MAX_EXCERPT_LENGTH = 600  # characters of each text
MAX_TITLE_TOKENS = 40
MAX_READ_LENGTH = 400  # characters, after which no more of an answer is waited for
AROUND = " \t\"'`*_#.:\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A conversation to be titled: its title as the request found it, and an excerpt of its turns."""

    caller: Caller
    conversation_id: UUID
    title: str | None
    title_source: str | None
    excerpt: str


def request_title(caller: Caller, conversation_id: UUID) -> None:
    """Let the model make a title; a failure, or a title that the user gives meanwhile, leaves it at that.

    Raises NotFound for a conversation that is absent or another user's, NoAnswer, Busy, TooManyTurns.
    """
    request = _read_request(caller, conversation_id)
    if not request.excerpt:
        raise NoAnswer("A title is made of a conversation's first answers: there is none yet.")
    slots = get_chat_state().slots
    slots.reserve(caller.user_id)
    try:
        _thread.start_new_thread(_run, (get_chat_state().app, request, structlog.contextvars.get_contextvars()))
    except RuntimeError:
        slots.release(caller.user_id)
        raise


def _read_request(caller: Caller, conversation_id: UUID) -> _Request:
    own = (Conversation.id == conversation_id, Conversation.user_id == caller.user_id, Conversation.listed)
    turns = sa.select(
        sa.func.substr(ChatMessage.user_message, 1, MAX_EXCERPT_LENGTH).label("question"),
        sa.func.substr(ChatMessage.bot_response, 1, MAX_EXCERPT_LENGTH).label("answer"),
    ).where(
        ChatMessage.conversation_id == conversation_id,
        ChatMessage.active,
        ChatMessage.listed,
        ChatMessage.status.in_(SHOWN_STATUSES),
    )
    with read() as connection:
        row = connection.execute(sa.select(Conversation.title, Conversation.title_source).where(*own)).one_or_none()
        if row is None:
            raise NotFound("There is no such conversation.")
        found = connection.execute(turns.order_by(ChatMessage.sequence).limit(MAX_TURNS)).all()
    excerpt = "\n\n".join(f"User: {one.question}\n\nAssistant: {one.answer}" for one in found)
    return _Request(caller, conversation_id, row.title, row.title_source, excerpt)


def _run(app: Flask, request: _Request, facts: dict[str, object]) -> None:
    structlog.contextvars.bind_contextvars(**facts)
    with app.app_context():
        try:
            title = _clean(_ask(request))
            if title:
                _keep(request, title)
        except (ChatbotError, AdapterError) as error:
            log.warning("no title made", conversation=str(request.conversation_id), error=type(error).__name__)
        except Exception as error:
            log.error("no title made", conversation=str(request.conversation_id), exc_info=error)
        finally:
            get_chat_state().slots.release(request.caller.user_id)


def _ask(request: _Request) -> str:
    """Return the model's answer, or its beginning where it is too long for a title."""
    user_id = request.caller.user_id
    messages = [Message("system", INSTRUCTIONS), Message("user", f"{request.excerpt}\n\n{QUESTION}")]
    completion = CompletionRequest(
        special_tokens.defuse_messages(messages),
        {"max_tokens": MAX_TITLE_TOKENS},
        cache_salt=questions.cache_salt(user_id),
    )
    text = ""
    with contextlib.closing(get_chat_state().llm_for(user_id).stream(completion)) as pieces:  # type: ignore[type-var]  # LLM.stream returns generators
        for piece in pieces:
            if not isinstance(piece, str) or len(text) > MAX_READ_LENGTH:
                break
            text += piece
    return text


def _clean(text: str) -> str:
    """Return the title in an answer: its first line, without marks around it."""
    line = next((line for line in map(str.strip, text.splitlines()) if line.strip(AROUND)), "")
    return conversation_rows.build_title(line.strip(AROUND).removeprefix("Title:").strip(AROUND))


def _keep(request: _Request, title: str) -> None:
    """Store a title, unless the user gave one since the request."""
    unchanged = (
        Conversation.id == request.conversation_id,
        Conversation.title.is_not_distinct_from(request.title),
        Conversation.title_source.is_not_distinct_from(request.title_source),
    )
    values = {"title": title, "title_source": "auto", "revision": Conversation.revision + 1, "updated_at": now()}
    with write("make_title") as connection:
        if connection.execute(sa.update(Conversation).where(*unchanged).values(values)).rowcount:
            changes.record(connection, request.caller.user_id, [Change("conversation", request.conversation_id)])
