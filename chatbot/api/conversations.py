"""Routes for conversations."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
from flask import Response, g, request

from chatbot.errors import InvalidInput, RevisionMismatch
from chatbot.schemas.chat import TurnSchema
from chatbot.schemas.conversations import (
    ConversationChangeSchema,
    ConversationListSchema,
    ConversationSchema,
    ConversationsQuerySchema,
    ExportQuerySchema,
    ExportSchema,
    ForkSchema,
    NewConversationSchema,
)
from chatbot.services.chat import conversations, deletion, titles
from chatbot.services.chat.conversations import ConversationRecord
from chatbot.services.chat.copies import exports, forks
from chatbot.services.chat.records import Turn
from chatbot.services.chat.state import get_chat_state
from chatbot.web import admission, authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

blueprint = Blueprint("conversations", __name__, url_prefix="/api/conversations", description="Threads of turns")

IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "The `revision` that the change is made for, as in `ETag`; without it the last change wins.",
}

CHARGED_BYTES = 1 << 20  # of turns that a fork copies: as many count as one fork more
ENDINGS = {"json": "json", "markdown": "md"}
EXPORTED = {
    "200": {
        "description": "OK",
        "content": {"application/json": {"schema": ExportSchema}, "text/markdown": {"schema": {"type": "string"}}},
    }
}

Tagged = tuple[ConversationRecord, int, dict[str, str]]


@blueprint.route("/", methods=["GET"])
@authentication.required("history")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(ConversationsQuerySchema, location="query")
@blueprint.response(200, ConversationListSchema)
def list_conversations(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's conversations, the one with the newest activity first."""
    return pagination.page(conversations.list_conversations, query, authentication.current())


@blueprint.route("/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewConversationSchema, required=False)
@blueprint.response(201, ConversationSchema)
@blueprint.alt_response(200, schema=ConversationSchema, success=True)
def create_conversation(values: dict[str, Any]) -> Tagged:
    """Make a conversation without turns; that of the same `external_id` is returned as it is, with 200."""
    key = idempotency.read_key(values)
    created = conversations.create(authentication.current(), values, key)
    return _tag(created.conversation, 201 if created.is_new or key else 200)


@blueprint.route("/<uuid:conversation_id>/", methods=["GET"])
@authentication.required("history")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, ConversationSchema)
def get_conversation(conversation_id: UUID) -> Tagged:
    """Show a conversation."""
    return _tag(conversations.get(authentication.current(), conversation_id))


@blueprint.route("/<uuid:conversation_id>/", methods=["PATCH"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 412, 413, 415, 503, parameters=[IF_MATCH])
@blueprint.arguments(ConversationChangeSchema)
@blueprint.response(200, ConversationSchema)
def change_conversation(values: dict[str, Any], conversation_id: UUID) -> Tagged:
    """Change settings of a conversation, field by field."""
    caller = authentication.current()
    return _tag(conversations.change(caller, conversation_id, values, revision=_read_revision()))


@blueprint.route("/<uuid:conversation_id>/", methods=["DELETE"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def delete_conversation(conversation_id: UUID) -> None:
    """Delete a conversation with all its turns; an answer that is being written ends."""
    deletion.delete_conversation(authentication.current(), conversation_id)


@blueprint.route("/<uuid:conversation_id>/fork/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(ForkSchema, required=False)
@blueprint.response(201, ConversationSchema)
def fork_conversation(values: dict[str, Any], conversation_id: UUID) -> Tagged:
    """Make another conversation with copies of this one's turns, all or those up to `turn_id`."""
    key = idempotency.read_key(values)
    caller = authentication.current()
    admission.enter_fork(caller.user_id)
    return _tag(forks.fork(caller, conversation_id, values.get("turn_id"), key, charge=_charge_fork), 201)


@blueprint.route("/<uuid:conversation_id>/title/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_CHAT_USER=by_user, RATE_CHAT_ADDRESS=by_address)
@problems.document(404, 409, 503)
@blueprint.without_fields
@blueprint.response(202)
def make_title(conversation_id: UUID) -> Response:
    """Let the model make a title, which takes the old one's place when it is there.

    It replaces a title that the user gave before; one that they give meanwhile stays, and so does the old one when the
    model fails.
    """
    titles.request_title(authentication.current(), conversation_id)
    return Response(status=202)


@blueprint.route("/<uuid:conversation_id>/export/", methods=["GET"])
@authentication.required("history")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 503)
@problems.document(responses=EXPORTED)
@blueprint.arguments(ExportQuerySchema, location="query")
@blueprint.response(200, ExportSchema)
def export_conversation(query: dict[str, Any], conversation_id: UUID) -> Response:
    """Download a conversation with all its turns, as JSON or as Markdown."""
    caller = authentication.current()
    conversation = conversations.get(caller, conversation_id)
    admission.enter_stream(caller.user_id)
    pages = exports.read_pages(get_chat_state().app, caller, conversation_id)
    if query["format"] == "json":
        response = Response(_to_json(conversation, pages), mimetype="application/json")
    else:
        response = Response(exports.to_markdown(conversation, pages), mimetype="text/markdown")
    name = exports.build_file_name(conversation, ENDINGS[query["format"]])
    names = {"filename": name} if name.isascii() else {"filename*": f"UTF-8''{quote(name)}"}
    response.headers.set("Content-Disposition", "attachment", **names)
    return response


def _charge_fork(size: int) -> None:
    # Flask-Limiter asks for a cost without arguments, and its context manager shares one limit among requests.
    g.fork_cost = 1 + size // CHARGED_BYTES
    _count_fork()


@rate_limits.limit(cost=lambda: int(g.fork_cost), RATE_FORK_USER=by_user)
def _count_fork() -> None:
    """Count a fork by its cost."""


def _to_json(conversation: ConversationRecord, pages: Iterator[list[Turn]]) -> Iterator[bytes]:
    """Yield the JSON of an ExportSchema, piece by piece."""
    turns = TurnSchema()
    yield b'{"conversation":%s,"turns":[' % orjson.dumps(ConversationSchema().dump(conversation))
    separator = b""
    for page in pages:
        for turn in page:
            yield separator + orjson.dumps(turns.dump(turn))
            separator = b","
    yield b"]}\n"


def _tag(conversation: ConversationRecord, status: int = 200) -> Tagged:
    """Return a conversation with its revision as an entity tag (RFC 9110, 8.8.3)."""
    return conversation, status, {"ETag": f'"{conversation.revision}"'}


def _read_revision() -> int | None:
    """Return the revision of `If-Match`, None without one; raises InvalidInput for a text that is no revision.

    A weak tag matches none (RFC 9110, 13.1.1), so it raises RevisionMismatch; proxies that compress make tags weak.
    """
    given = request.headers.get("If-Match", "*").strip()
    if given == "*":
        return None
    if given.startswith("W/"):
        raise RevisionMismatch('A weak tag matches no revision; send the `revision` itself, such as "1".')
    number = given.strip('"')
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise InvalidInput({"If-Match": ['Must be a revision, such as "1".']})
    return int(number)
