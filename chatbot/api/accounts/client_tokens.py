"""The route by which a customer's server signs its own users in."""

from typing import Any
from uuid import UUID

from chatbot.schemas.accounts.client_tokens import ClientTokenSchema, NewClientTokenSchema
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge import client_tokens
from chatbot.services.usage import budgets
from chatbot.services.usage.budgets import Limit
from chatbot.web import authentication, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("client_tokens", __name__, url_prefix="/api/users/client-tokens", description="Tokens for users")


@blueprint.route("/", methods=["POST"])
@authentication.required("mint")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 413, 415, 503)
@blueprint.arguments(NewClientTokenSchema)
@blueprint.response(201, ClientTokenSchema)
def create_client_token(values: dict[str, Any]) -> client_tokens.ClientToken:
    """Make a token with which a user of the caller's own service chats, for up to an hour.

    The user has an account of their own, made at first sight of the `subject`: a history, and no access to anything of
    the caller's but answers from `collection_ids`. Keep the API key on the server and give this token to the browser.
    """
    caller = authentication.current()
    bound = values.pop("budget", None)
    if "max_turns" in values:
        bound = {"metric": "turns", "window": "ever", "limit": values.pop("max_turns")}
    grant = client_tokens.build_grant(caller, values.pop("collection_ids", ()))  # before an account is made
    subject = values.pop("subject")
    user_id = client_tokens.find_user(caller, subject) or _create_user(caller, subject)
    insert_budget = budgets.prepare_key_budget(user_id, Limit(**bound)) if bound else None
    return client_tokens.mint(user_id, grant, **values, insert_budget=insert_budget)


@rate_limits.limit(RATE_CLIENT_USER=by_user)
def _create_user(caller: Caller, subject: str) -> UUID:
    """Make an account; so many that one user cannot take the turns of others by being many."""
    return client_tokens.create_user(caller, subject)
