"""Routes for shares: links to conversations for readers without an account."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from chatbot.schemas.fields import to_dict
from chatbot.schemas.knowledge import PageSchema
from chatbot.schemas.shares import (
    MadeShareSchema,
    NewShareSchema,
    SharedConversationSchema,
    ShareListSchema,
)
from chatbot.services.chat.copies import shares
from chatbot.web import authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

blueprint = Blueprint("shares", __name__, url_prefix="/api", description="Links to conversations")

# The token is in the address: neither search engines nor other sites are to learn it.
HEADERS = {"X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


@blueprint.route("/conversations/<uuid:conversation_id>/shares/", methods=["GET"])
@authentication.required("history")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, ShareListSchema)
def list_shares(query: dict[str, Any], conversation_id: UUID) -> dict[str, Any]:
    """List the shares of a conversation that have not expired, by time and without their tokens."""
    query["conversation_id"] = conversation_id
    return pagination.page(shares.list_shares, query, authentication.current())


@blueprint.route("/conversations/<uuid:conversation_id>/shares/", methods=["POST"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewShareSchema, required=False)
@blueprint.response(201, MadeShareSchema)
def create_share(values: dict[str, Any], conversation_id: UUID) -> shares.Share:
    """Share a conversation as it is now; the token of the link is in this answer alone.

    Each reader of `/api/shared/{token}/` sees the messages and answers up to now, or up to `until_turn_id`; later ones
    never show, and deleted ones show no more. Quotes show while their collection is shared with all users.
    """
    key = idempotency.read_key(values)
    expires_in = timedelta(seconds=values.pop("expires_in"))
    return shares.create(authentication.current(), conversation_id, expires_in=expires_in, **values, key=key)


@blueprint.route("/conversations/<uuid:conversation_id>/shares/<uuid:share_id>/", methods=["DELETE"])
@authentication.required("chat")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def delete_share(conversation_id: UUID, share_id: UUID) -> None:
    """Delete a share; its link shows nothing any more."""
    shares.delete(authentication.current(), conversation_id, share_id)


@blueprint.route("/shared/<token>/", methods=["GET"])
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
@problems.document(400, 404, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, SharedConversationSchema)
def get_shared(query: dict[str, Any], token: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Show a shared conversation, a page at a time."""
    after = max(0, pagination.decode_position(query.get("cursor")))
    page = shares.read_page(token, limit=query["limit"], after=after)
    next_cursor = None if page.last_sequence is None else pagination.encode_position(page.last_sequence)
    return {**to_dict(page), "next_cursor": next_cursor}, 200, HEADERS
