"""Routes for the changes of a room: pages and a stream."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from flask import Flask, Response, g, request

from chatbot.errors import ChatbotError, InvalidInput, NotFound
from chatbot.schemas import events, problem
from chatbot.schemas.room_messages import MAX_SAFE_INTEGER
from chatbot.schemas.rooms import RoomChangesQuerySchema, RoomChangesSchema, dump_event
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import execution
from chatbot.services.chat.state import get_chat_state
from chatbot.services.rooms import changes, rooms
from chatbot.services.rooms.bot.texts import AnswerText, find_readers, get_answer_texts
from chatbot.services.rooms.records import ChangesPage, RoomChange
from chatbot.services.rooms.watch import get_room_watch
from chatbot.web import admission, authentication, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("room_events", __name__, url_prefix="/api/rooms", description="Changes of rooms")

DELTA_SECONDS = 0.1  # between two looks at an answer that is being written
EVENTS_LIMIT = 200  # changes in one reading of a stream
LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": {"type": "string", "pattern": "^[0-9]{1,16}$"},
    "description": "The `rev` that is known: the stream goes on behind it. Without it, from now.",
}


@blueprint.route("/<uuid:room_id>/changes/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 410, 503)
@blueprint.arguments(RoomChangesQuerySchema, location="query")
@blueprint.response(200, RoomChangesSchema)
def list_room_changes(query: dict[str, Any], room_id: UUID) -> ChangesPage:
    """List the changes of a room since a `rev`, each thing once and in its newest state.

    Ask again with `rev` while there is `more`. With 410 a client forgets the room and reads it anew.
    """
    caller = authentication.current()
    admission.enter_page(caller.user_id)
    return changes.read_changes(caller, room_id, **query)


@blueprint.route("/<uuid:room_id>/events/", methods=["GET"])
@authentication.required("rooms")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 410, 503, parameters=[LAST_EVENT_ID])
@blueprint.response(200, events.ROOM_EVENTS, content_type=sse.MEDIA_TYPE)
def follow_room(room_id: UUID) -> Response:
    """Follow a room as it changes.

    `message` has a new message, `bot_delta` a piece of an answer, `bot_done` the whole, `changed` any other change;
    `removed` ends the stream of a caller who is no member any more; `problem` and `error` one whose session has ended.
    """
    caller = authentication.current()
    since = _read_rev()
    admission.enter_stream(caller.user_id)
    rev = rooms.get(caller, room_id).rev if since is None else since
    changes.read_changes(caller, room_id, since_rev=rev, limit=1)  # one ahead of the room is a status
    return sse.response(_follow(get_chat_state().app, caller, room_id, rev, g.get("request_id", "")))


def _read_rev() -> int | None:
    """Return the `rev` of Last-Event-ID, None without one; raises InvalidInput."""
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 16 and int(given) <= MAX_SAFE_INTEGER):
        raise InvalidInput({"Last-Event-ID": ["Must be the id of an event of this stream."]})
    return int(given)


def _follow(app: Flask, caller: Caller, room_id: UUID, rev: int, request_id: str) -> Iterator[bytes]:
    checked = silent_since = time.monotonic()
    answers = _Answers(caller, room_id)
    with app.app_context():
        watch = get_room_watch()
    yield sse.HEARTBEAT  # at once: the client learns that the room is followed
    is_ending = False  # the process: it would wait for a stream without an end of its own, whose client comes back
    while not is_ending:
        try:
            with app.app_context():
                is_ending = execution.is_draining()
                page = changes.read_changes(caller, room_id, since_rev=rev, limit=EVENTS_LIMIT)
                frames = b"".join(_format(room_id, one) for one in page.items) + answers.read(page.rev)
                if time.monotonic() - checked > sse.CHECK_INTERVAL_SECONDS:
                    sse.require_open(caller)
                    checked = time.monotonic()
        except NotFound:
            yield b"event: removed\ndata: {}\n\n"
            return
        except ChatbotError as error:
            body = problems.body(problem.of(error), error.detail, f"/api/rooms/{room_id}/events/", request_id)
            yield sse.format_problem(body, rev)
            return
        rev = page.rev
        if frames or time.monotonic() - silent_since > sse.CHECK_INTERVAL_SECONDS:
            yield frames or sse.HEARTBEAT
            silent_since = time.monotonic()
        if not page.more:
            watch.wait(room_id, rev, DELTA_SECONDS if answers.has_running else sse.CHECK_INTERVAL_SECONDS)


class _Answers:
    """The answers of a room that are being written, for one reader."""

    def __init__(self, caller: Caller, room_id: UUID) -> None:
        self._caller = caller
        self._room_id = room_id
        self._offsets: dict[UUID, int] = {}
        self.has_running = False

    def read(self, rev: int) -> bytes:
        """Return the events of the text since the last time."""
        running = get_answer_texts().list_texts([self._room_id])
        self.has_running = bool(running)
        self._offsets = {one.message_id: self._offsets.get(one.message_id, 0) for one in running}
        grown = [one for one in running if len(one.text) > self._offsets[one.message_id]]
        if not grown:
            return b""
        readable = find_readers([one.message_id for one in grown], user_id=self._caller.user_id)
        return b"".join(self._format(one, rev) for one in grown if one.message_id in readable)

    def _format(self, answer: AnswerText, rev: int) -> bytes:
        offset = self._offsets[answer.message_id]
        self._offsets[answer.message_id] = len(answer.text)
        data = {"room_id": answer.room_id, "message_id": answer.message_id}
        return sse.format_event(b"bot_delta", {**data, "offset": offset, "text": answer.text[offset:]}, rev)


def _format(room_id: UUID, change: RoomChange) -> bytes:
    """Return the event of a change; its id is the change's `rev`."""
    return sse.format_event(change.event.encode(), dump_event(room_id, change), change.rev)
