"""Routes for API keys, which no API key opens."""

from collections.abc import Sequence
from dataclasses import asdict
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
from chatbot.services.accounts.api_keys import IssuedKey
from chatbot.services.usage import budgets
from chatbot.services.usage.budgets import Limit
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
    page = pagination.page(api_keys.list_keys, query, authentication.current())
    return page | {"items": _add_budgets(page["items"])}


@blueprint.route("/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(NewApiKeySchema)
@blueprint.response(201, IssuedApiKeySchema)
def create_api_key(values: dict[str, Any]) -> dict[str, Any]:
    """Make an API key; its secret is in this answer alone.

    A program sends it in place of an access token, and may do what its scopes say: `chat` sends and reads
    messages, `history` lists them, `knowledge:read` and `knowledge:write` are for collections, documents and search,
    `v1` for OpenAI's clients, `analytics` reports usage. `admin` keeps an administrator's rights, which other keys do
    not have.
    """
    caller = authentication.current()
    key = idempotency.read_key(values)
    limit = values.pop("budget", None)
    insert_budget = budgets.prepare_key_budget(caller.user_id, Limit(**limit)) if limit else None
    return _add_budget(api_keys.create(caller, **values, insert_budget=insert_budget, key=key))


@blueprint.route("/<uuid:key_id>/rotate/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 422, 503, parameters=[idempotency.DOCUMENT])
@blueprint.arguments(ApiKeyRotationSchema, required=False)
@blueprint.response(201, IssuedApiKeySchema)
def rotate_api_key(values: dict[str, Any], key_id: UUID) -> dict[str, Any]:
    """Make an API key in the place of another, with its name, scopes, lifetime and budget.

    The other one ends after the overlap; both use the same budget.
    """
    return _add_budget(api_keys.rotate(authentication.current(), key_id, **values, key=idempotency.read_key(values)))


@blueprint.route("/<uuid:key_id>/", methods=["DELETE"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def delete_api_key(key_id: UUID) -> None:
    """Delete an API key; it opens nothing any more."""
    api_keys.delete(authentication.current(), key_id)


def _add_budget(issued: IssuedKey) -> dict[str, Any]:
    return _add_budgets([issued])[0]


def _add_budgets(keys: Sequence[IssuedKey]) -> list[dict[str, Any]]:
    """Return API keys with the states of their budgets."""
    budget_ids = [key.budget_id for key in keys if key.budget_id is not None]
    states = budgets.load_of_keys(authentication.current(), budget_ids) if budget_ids else {}
    return [asdict(key) | {"budget": key.budget_id and states.get(key.budget_id)} for key in keys]
