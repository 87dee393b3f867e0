"""Server-sent events (WHATWG HTML, 9.2): the framing of a turn's text, its end, and heartbeats."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response, g, request
from marshmallow import Schema

from chatbot.errors import ChatbotError, DatabaseBusy, DatabaseUnavailable, InvalidInput
from chatbot.schemas import problem
from chatbot.schemas.accounts.budgets import BudgetSchema
from chatbot.schemas.chat import TurnSchema
from chatbot.schemas.events import CitationsEventSchema
from chatbot.services.accounts import authentication
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import following
from chatbot.services.chat.records import Turn
from chatbot.services.chat.state import get_chat_state
from chatbot.services.usage.budgets import list_budgets

from . import problems

MEDIA_TYPE = "text/event-stream"
FIRST_TEXT_SECONDS = 2.0  # in which a failure before the first text is an HTTP status, also of a stream
LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": {"type": "string", "pattern": "^[0-9]{1,9}(-end)?$"},
    "description": "The id of the last event that was read: the stream goes on behind it.",
}
REASONING = {
    "in": "query",
    "name": "reasoning",
    "schema": {"type": "boolean", "default": False},
    "description": "Show the model's reasoning as events `reasoning`, while the turn runs; it is not kept.",
}
# Proxies must neither keep nor buffer nor compress what is to be seen at once.
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
CHECK_INTERVAL_SECONDS = 2.0  # seconds between two looks whether the session that reads is still open, at least
HEARTBEAT = b": all is well\n\n"
LAST = "-end"  # of the id of a stream's last event
LINE_ENDS = re.compile("\u2028|\u2029|\u0085".encode())  # U+2028, U+2029, U+0085
FAILED = {"failed", "interrupted"}

_turns = TurnSchema()
_candidates = CitationsEventSchema()
_budgets = BudgetSchema(many=True)


def response(frames: Iterator[bytes]) -> Response:
    """Return the response that carries frames."""
    return Response(frames, headers=HEADERS, mimetype=MEDIA_TYPE, direct_passthrough=True)


def format_event(name: bytes, data: dict[str, Any], position: int, *, is_last: bool = False) -> bytes:
    """Return one event; its id is the offset in the answer's text after it, in code points.

    The id of the last event says that there is nothing to come back for.
    """
    end = LAST if is_last else ""
    return b"id: %d%s\nevent: %s\ndata: %s\n\n" % (position, end.encode(), name, to_line(data))


def format_problem(document: dict[str, Any], position: int, *, is_last: bool = False) -> bytes:
    """Return the events of a problem: `error` is also the name of an EventSource's own event, `problem` is not."""
    return b"".join(format_event(name, document, position, is_last=is_last) for name in (b"problem", b"error"))


def to_line(data: dict[str, Any]) -> bytes:
    """Return JSON in which no reader finds the end of a line: many take the three of Unicode for one."""
    line = orjson.dumps(data)
    return line if line.isascii() else LINE_ENDS.sub(_escape, line)


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The last event that a client has read: the offset after it, None for none, and whether the stream ended there."""

    offset: int | None = None
    is_end: bool = False


def read_last_event() -> LastEvent:
    """Return the event after which a client resumes; raises InvalidInput for an id that is none of a stream."""
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return LastEvent()
    offset = given.removesuffix(LAST)
    if not (offset.isascii() and offset.isdigit() and len(offset) < 10):
        raise InvalidInput({"Last-Event-ID": ["Must be the id of an event of this stream."]})
    return LastEvent(int(offset), given.endswith(LAST))


def wants_reasoning() -> bool:
    """Return whether the request asks for the model's reasoning; raises InvalidInput for neither true nor false."""
    given = [value.lower() for value in request.args.getlist("reasoning")]
    if given not in ([], ["true"], ["false"]):
        raise InvalidInput({"reasoning": ["Must be true or false, and given once."]})
    return given == ["true"]


def nothing_to_come() -> Response:
    """Return the response at which an EventSource stops (WHATWG HTML, 9.2.3)."""
    return Response(status=204)


def document(schema: type[Schema], stream: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view that answers with JSON of a schema or with a stream, one of `chatbot.schemas.events`."""
    content = {"application/json": {"schema": schema}, MEDIA_TYPE: {"schema": stream}}
    return problems.document(responses={"200": {"description": "OK", "content": content}})


def format_opening(turn: Turn) -> bytes:
    """Return the event that tells of a turn as it was opened."""
    return format_event(b"turn", _turns.dump(turn), 0)


def require_open(caller: Caller) -> Caller:
    """Return the caller as they are now; raises Unauthenticated when the session has ended.

    A database that cannot say so ends no stream.
    """
    with suppress(DatabaseBusy, DatabaseUnavailable):
        return authentication.require_open(caller)
    return caller


class Reader:
    """A reader of a turn: made within the request, used after it."""

    def __init__(self, caller: Caller, turn_id: Any, *, with_reasoning: bool = False) -> None:
        self._app = get_chat_state().app
        self._caller = caller
        self._turn_id = turn_id
        self._with_reasoning = with_reasoning
        self._is_announced = False
        self._text = following.find_text(turn_id)
        self._address = g.get("instance", "")
        self._request_id = g.get("request_id", "")

    def frames(self, offset: int, opening: bytes = b"") -> Iterator[bytes]:
        """Yield the events from the offset on, the first one together with the turn as it was opened."""
        position = offset
        for news in self.news(offset):
            if isinstance(news, str):
                start = position
                position = position + len(news)
                yield (
                    opening
                    + self._candidates(start)
                    + format_event(b"delta", {"offset": start, "text": news}, position)
                )
            elif isinstance(news, following.Reasoning):
                yield opening + format_event(b"reasoning", {"offset": news.offset, "text": news.text}, position)
            elif news is None:
                yield opening + HEARTBEAT
            else:
                yield opening + self._candidates(position) + self._format_end(news, position)
            opening = b""

    def _candidates(self, position: int) -> bytes:
        """Return the event that tells the passages, once, in front of the first text."""
        is_announced = self._is_announced or position > 0
        self._is_announced = True
        if is_announced or self._text is None:
            return b""
        try:
            with self._app.app_context():
                found = following.list_candidates(self._caller, self._text)
        except ChatbotError:  # the database cannot say what may be read: the end of the turn tells it
            return b""
        return b"" if found is None else format_event(b"citations", _candidates.dump({"items": found}), 0)

    def news(self, offset: int) -> Iterator[str | following.Reasoning | Turn | ChatbotError | None]:
        """Follow the turn while the caller's session is open; an error is the last news."""
        checked = time.monotonic()
        try:
            with self._app.app_context():
                all_news = following.follow(
                    self._caller, self._turn_id, offset, text=self._text, with_reasoning=self._with_reasoning
                )
            for news in all_news:
                if time.monotonic() - checked > CHECK_INTERVAL_SECONDS:
                    self._check_session()
                    checked = time.monotonic()
                yield news
        except ChatbotError as error:
            yield error

    def _check_session(self) -> None:
        with self._app.app_context():
            require_open(self._caller)

    def problem(self, news: Turn | ChatbotError) -> dict[str, Any] | None:
        """Return the problem document of the last news, or None for a turn that has its answer."""
        if isinstance(news, ChatbotError):
            return problems.body(problem.of(news), news.detail, self._address, self._request_id)
        if news.status in FAILED:
            return problems.body(problem.of_turn_error(news.error), "", self._address, self._request_id)
        return None

    def describe_end(self, news: Turn | ChatbotError, position: int) -> tuple[str, dict[str, Any]]:
        """Return the name and the data of the last event: `done` with the turn, or `error` with a problem document."""
        document = self.problem(news)
        # A reader with more text than there is was ahead of a crash: the turn replaces what it shows.
        is_ahead = not isinstance(news, ChatbotError) and position > len(news.bot_response)
        if document is not None and not is_ahead:
            return "error", document
        data: dict[str, Any] = _turns.dump(news)
        if self._caller.has_budgets:
            data |= self._describe_budgets()
        return "done", data

    def _describe_budgets(self) -> dict[str, Any]:
        """Return the rest of the caller's budgets; nothing where the database is not reached."""
        with suppress(ChatbotError), self._app.app_context():
            if states := list_budgets(self._caller):
                return {"budgets": _budgets.dump(states)}
        return {}

    def _format_end(self, news: Turn | ChatbotError, position: int) -> bytes:
        name, data = self.describe_end(news, position)
        if name == "error":
            return format_problem(data, position, is_last=not isinstance(news, ChatbotError))
        return format_event(b"done", data, len(data["bot_response"]), is_last=True)
