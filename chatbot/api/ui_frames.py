"""A turn as the AI SDK's UI message stream (ai 7, `uiMessageChunkSchema`; header `x-vercel-ai-ui-message-stream`).

The stream always begins with the turn: `useChat` replaces the message of the same id. A reader is at an offset only
within one stream.
"""

from collections.abc import Iterator
from typing import Any

from chatbot.errors import ChatbotError
from chatbot.schemas.chat import TurnSchema
from chatbot.services.chat.following import Reasoning
from chatbot.services.chat.records import Turn
from chatbot.web import sse

HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
DONE = b"data: [DONE]\n\n"
FINISH_REASONS = {"completed": "stop", "truncated": "length", "filtered": "content-filter", "cancelled": "interrupted"}
MEDIA_TYPE_OF_SOURCES = "text/plain"  # quotes and offsets are of the document's text, whatever its file is
PROVIDER = "chatbot"

_turns = TurnSchema(exclude=("bot_response", "citations", "error", "retrieval_query", "user_message"))
_citations = TurnSchema(only=("citations",))


class UIFrames:
    """The frames of one reader of a turn."""

    def __init__(self, reader: sse.Reader, turn: Turn) -> None:
        self._reader = reader
        self._turn = turn
        self._part: str | None = None  # the type of the part that is open
        self._offset = 0

    def frames(self) -> Iterator[bytes]:
        """Yield the whole stream; heartbeats are comments."""
        yield _chunk("start", messageId=self._turn.id, messageMetadata=_turns.dump(self._turn)) + _chunk("start-step")
        for news in self._reader.news(0):
            if isinstance(news, str):
                self._offset += len(news)
                yield self._write("text", news)
            elif isinstance(news, Reasoning):
                yield self._write("reasoning", news.text)
            elif news is None:
                yield sse.HEARTBEAT
            else:
                yield self._end(news) + DONE

    def _write(self, part: str, text: str) -> bytes:
        begin = b"" if part == self._part else self._close_part() + _chunk(f"{part}-start", id=part)
        self._part = part
        return begin + _chunk(f"{part}-delta", id=part, delta=text)

    def _close_part(self) -> bytes:
        part = self._part
        self._part = None
        return b"" if part is None else _chunk(f"{part}-end", id=part)

    def _end(self, news: Turn | ChatbotError) -> bytes:
        problem = self._reader.problem(news)
        if isinstance(news, ChatbotError):
            return self._close_part() + _format_problem(problem or {})
        last = self._reset(news) + self._close_part() + _format_sources(news) + _chunk("finish-step")
        if problem is not None:
            return last + _chunk("message-metadata", messageMetadata=_turns.dump(news)) + _format_problem(problem)
        if news.status == "cancelled":
            last += _chunk("abort", reason=news.status)
        reason = FINISH_REASONS.get(news.status, "other")
        return last + _chunk("finish", finishReason=reason, messageMetadata=_turns.dump(news))

    def _reset(self, turn: Turn) -> bytes:
        """Return the chunks that replace the text of a reader ahead of a crash."""
        if self._offset <= len(turn.bot_response):
            return b""
        self._part = None
        return _chunk("reset-step") + (self._write("text", turn.bot_response) if turn.bot_response else b"")


def _format_sources(turn: Turn) -> bytes:
    """Return the citations of an answer; a document that is cited twice is two sources."""
    return b"".join(
        _chunk(
            "source-document",
            sourceId=f"{citation['document_id']}:{citation['start']}-{citation['end']}",
            mediaType=MEDIA_TYPE_OF_SOURCES,
            title=citation["title"],
            providerMetadata={PROVIDER: citation},
        )
        for citation in _citations.dump(turn)["citations"]
    )


def _format_problem(document: dict[str, Any]) -> bytes:
    """Return the chunks of a problem document: at `error` the client stops, so that the document comes first."""
    return _chunk("data-problem", data=document) + _chunk("error", errorText=document["detail"])


def _chunk(kind: str, **members: Any) -> bytes:
    return b"data: %s\n\n" % sse.to_line({"type": kind, **members})
