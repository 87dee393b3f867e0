"""Routes for API keys, which no API key opens."""

from typing import Any
from uuid import UUID

from chatbot.schemas.accounts.auth import (
    ApiKeyListSchema,
    ApiKeyRotationSchema,
    IssuedApiKeySchema,
    NewApiKeySchema,
)
from chatbot.schemas.knowledge import PageSchema
from chatbot.services.accounts import api_keys
from chatbot.web import authentication, idempotency, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("api_keys", __name__, url_prefix="/api/users/api-keys", description="Keys for programs")


@blueprint.route("/", methods=["GET"])
@authentication.required(None)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, ApiKeyListSchema)
def list_api_keys(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's API keys by time, without their secrets."""
    return pagination.page(api_keys.list_keys, query, authentication.current())


@blueprint.route("/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewApiKeySchema)
@blueprint.response(201, IssuedApiKeySchema)
def create_api_key(values: dict[str, Any]) -> api_keys.IssuedKey:
    """Make an API key; its secret is in this answer alone.

    A program sends it in place of an access token, and may do what its scopes say: `chat` sends and reads
    messages, `history` lists them, `knowledge:read` and `knowledge:write` are for collections, documents and search,
    `v1` for OpenAI's clients, `analytics` reports usage. `admin` keeps an administrator's rights, which other keys do
    not have.
    """
    return api_keys.create(authentication.current(), **values, key=idempotency.read_key(values))


@blueprint.route("/<uuid:key_id>/rotate/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(ApiKeyRotationSchema, required=False)
@blueprint.response(201, IssuedApiKeySchema)
def rotate_api_key(values: dict[str, Any], key_id: UUID) -> api_keys.IssuedKey:
    """Make an API key in the place of another, with its name, scopes and lifetime; the other ends after the overlap."""
    return api_keys.rotate(authentication.current(), key_id, **values, key=idempotency.read_key(values))


@blueprint.route("/<uuid:key_id>/", methods=["DELETE"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def delete_api_key(key_id: UUID) -> None:
    """Delete an API key; it opens nothing any more."""
    api_keys.delete(authentication.current(), key_id)
