"""Routes by which a device stays in step with its user's data."""

import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, g, request

from chatbot.errors import ChatbotError, CursorExpired, InvalidInput
from chatbot.models.chat import RUNNING
from chatbot.schemas import events, problem
from chatbot.schemas.chat import TurnSchema
from chatbot.schemas.conversations import ConversationSchema
from chatbot.schemas.fields import ITEMS_WITHOUT_BREAK
from chatbot.schemas.knowledge import CollectionSchema, DocumentSchema
from chatbot.schemas.room_messages import ReadMarkSchema, RoomMessageSchema
from chatbot.schemas.rooms import RoomMemberSchema, RoomSchema
from chatbot.schemas.sync import RunningEventSchema, SyncEventsQuerySchema, SyncQuerySchema, SyncSchema, WatermarkSchema
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat import execution
from chatbot.services.chat.records import Turn
from chatbot.services.chat.state import get_chat_state
from chatbot.services.chat.sync_sources import find_running
from chatbot.services.rooms.sync_sources import SOURCES
from chatbot.services.sync import feed
from chatbot.services.sync.changes import Kind
from chatbot.services.sync.watch import get_change_watch
from chatbot.web import admission, authentication, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("sync", __name__, url_prefix="/api/sync", description="Devices that stay in step")

SCOPE = "history"
EVENTS_LIMIT = 200  # items in one reading of a stream
LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": {"type": "string"},
    "description": "The id of the last event, or a `next_cursor`: the stream goes on behind it; without, from now.",
}

_schemas = {
    "turn": TurnSchema(),
    "conversation": ConversationSchema(),
    "document": DocumentSchema(),
    "collection": CollectionSchema(),
    "room": RoomSchema(),
    "room_message": RoomMessageSchema(),
    "membership": RoomMemberSchema(),
    "read_mark": ReadMarkSchema(),
}
# The scope that an API key needs for things of a kind; the others are of the feed's own scope.
SCOPES: dict[Kind, str] = {
    "document": "knowledge:read",
    "collection": "knowledge:read",
    "room": "rooms",
    "room_message": "rooms",
    "membership": "rooms",
    "read_mark": "rooms",
}
_watermarks = WatermarkSchema()
_running = RunningEventSchema()


@blueprint.route("/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 410, 503)
@blueprint.arguments(SyncQuerySchema, location="query")
@blueprint.response(200, SyncSchema)
def read_changes(query: dict[str, Any]) -> dict[str, Any]:
    """Read the changes since a cursor, each thing once and as it is now, and the deletions.

    Without `since` the newest conversations come first, then all else backwards, page by page, until there is no
    `more`. An item may come twice; of two with the same type and id the one of the higher revision is right. With 410
    a device forgets what it has and begins without a cursor.
    """
    caller = authentication.current()
    wait = query.pop("wait")
    if wait:
        admission.enter_stream(caller.user_id)
    else:
        admission.enter_page(caller.user_id)
    query["types"] = _find_types(caller, query.get("types"))
    page = feed.read_page(caller, SOURCES, **{"since": None, **query})
    if not page.items and not page.more and page.watermark is None and wait:
        _wait(caller, page.position, wait)
        page = feed.read_page(caller, SOURCES, **{**query, "since": page.cursor})
    return {"items": _dump(page), "next_cursor": page.cursor, "more": page.more}


@blueprint.route("/events/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 410, 503, parameters=[LAST_EVENT_ID])
@blueprint.arguments(SyncEventsQuerySchema, location="query")
@blueprint.response(200, events.SYNC_EVENTS, content_type=sse.MEDIA_TYPE)
def follow_changes(query: dict[str, Any]) -> Response:
    """Follow the changes of the caller's data as they are made.

    `change` has an item, `running` a turn whose answer is being written, `reset` says that the cursor has expired.
    """
    caller = authentication.current()
    # An EventSource repeats its address when it connects again, with the id of the last event beside it.
    given = request.headers.get("Last-Event-ID", query.get("since"))
    admission.enter_stream(caller.user_id)
    cursor = feed.build_cursor(caller) if given is None else given
    if given is not None:
        _require_cursor(caller, given)
    return sse.response(_follow(get_chat_state().app, caller, cursor, g.get("request_id", "")))


def _require_cursor(caller: Caller, cursor: str) -> None:
    """Raise CursorExpired or InvalidInput, which are statuses before a stream begins."""
    try:
        feed.read_page(caller, SOURCES, since=cursor, limit=1, window=0)
    except InvalidInput as error:
        name = "Last-Event-ID" if "Last-Event-ID" in request.headers else "since"
        raise InvalidInput({name: error.errors["since"]}) from error


def _follow(app: Flask, caller: Caller, cursor: str, request_id: str) -> Iterator[bytes]:
    checked = time.monotonic()
    types = _find_types(caller, None)
    with app.app_context():
        watch = get_change_watch()
        running = find_running(caller)
    yield sse.HEARTBEAT + b"".join(map(_format_running, running))  # at once: the client learns that it is followed
    is_ending = False  # the process, as for rooms
    while not is_ending:
        try:
            with app.app_context():
                is_ending = execution.is_draining()
                page = feed.read_page(caller, SOURCES, since=cursor, limit=EVENTS_LIMIT, window=0, types=types)
                frames = _format(page)
                if time.monotonic() - checked > sse.CHECK_INTERVAL_SECONDS:
                    sse.require_open(caller)
                    checked = time.monotonic()
        except CursorExpired:
            yield b"event: reset\ndata: {}\n\n"
            return
        except ChatbotError as error:
            body = problems.body(problem.of(error), error.detail, f"{blueprint.url_prefix}/events/", request_id)
            yield sse.format_problem(body, 0)
            return
        cursor = page.cursor
        if frames:
            # With the last one: a client that loses the others begins before all of them.
            yield b"".join(frames[:-1]) + b"id: %s\n" % cursor.encode() + frames[-1]
        if not page.more and not watch.wait(caller.user_id, page.position, sse.CHECK_INTERVAL_SECONDS):
            yield sse.HEARTBEAT


def _find_types(caller: Caller, asked: frozenset[Kind] | None) -> frozenset[Kind] | None:
    """Return the kinds of things to show, all those that are asked for and that the caller's API key has scopes for."""
    if caller.scopes is None:
        return asked
    allowed = frozenset(kind for kind in SOURCES.loaders if SCOPES.get(kind, SCOPE) in caller.scopes)
    return allowed if asked is None else asked & allowed


def _wait(caller: Caller, position: int, seconds: float) -> None:
    """Wait for a change; raises Unauthenticated when the caller's session ends meanwhile."""
    deadline = time.monotonic() + seconds
    has_changed = False
    while not has_changed and not execution.is_draining() and (left := deadline - time.monotonic()) > 0:
        has_changed = get_change_watch().wait(caller.user_id, position, min(left, sse.CHECK_INTERVAL_SECONDS))
        sse.require_open(caller)


def _dump(page: feed.FeedPage) -> list[dict[str, Any]]:
    """Return the items of a page as JSON, the watermark first; others' requests need not wait for a long one."""
    dumped = []
    if page.watermark is not None:
        head = {"type": "watermark", "op": "upsert", "id": None, "revision": page.position}
        dumped.append(head | {"data": _watermarks.dump(page.watermark)})
    for number, item in enumerate(page.items):
        if number % ITEMS_WITHOUT_BREAK == ITEMS_WITHOUT_BREAK - 1:
            time.sleep(0)
        dumped.append(_dump_item(item))
    return dumped


def _dump_item(item: feed.Item) -> dict[str, Any]:
    head = {"type": item.type, "op": item.op, "id": item.id, "revision": item.revision}
    return head if item.data is None else head | {"data": _schemas[item.type].dump(item.data)}


def _format(page: feed.FeedPage) -> list[bytes]:
    """Return the events of a page."""
    frames = [_format_event(b"change", item) for item in _dump(page)]
    running = [item.data for item in page.items if item.type == "turn" and item.data and item.data.status in RUNNING]
    return frames + [_format_running(turn) for turn in running]


def _format_running(turn: Turn) -> bytes:
    return _format_event(b"running", _running.dump({"turn_id": turn.id, "conversation_id": turn.conversation_id}))


def _format_event(name: bytes, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name, sse.to_line(data))
