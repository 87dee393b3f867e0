"""Routes for accounts and sessions."""

import functools
from typing import Any

from flask import request

from chatbot.schemas.accounts.auth import (
    LoginSchema,
    PasswordChangeSchema,
    ProfileSchema,
    RefreshSchema,
    SignupSchema,
    TokensSchema,
    UserSchema,
)
from chatbot.services.accounts import accounts, rotation, sessions
from chatbot.services.accounts.devices import MAX_USER_AGENT_LENGTH, Device
from chatbot.web import authentication, login_limits, networks, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address, by_user

blueprint = Blueprint("users", __name__, url_prefix="/api/users", description="Accounts and sessions")

MAX_BODY = 16 << 10  # bytes: the longest password twice, with some room for escapes


@blueprint.before_request
def bound_body() -> None:
    """Refuse bodies that no account needs: these routes are open to strangers."""
    request.max_content_length = MAX_BODY


@blueprint.route("/signup/", methods=["POST"])
@rate_limits.limit(RATE_SIGNUP_ADDRESS=by_address)
@problems.document(400, 409, 413, 415, 503)
@blueprint.arguments(SignupSchema)
@blueprint.response(201, UserSchema)
def sign_up(account: dict[str, Any]) -> accounts.Account:
    """Make an account."""
    login_limits.delay_excess_sign_up()
    return accounts.sign_up(account["email"], account["username"], account["password"])


@blueprint.route("/login/", methods=["POST"])
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address)
@problems.document(400, 401, 413, 415, 503)
@blueprint.arguments(LoginSchema)
@blueprint.response(200, TokensSchema)
def log_in(credentials: dict[str, str]) -> sessions.Login:
    """Open a session and get its tokens."""
    log_in_from_device = functools.partial(sessions.log_in, **credentials, device=_read_device())
    return login_limits.log_in_within_limits(credentials["email"], log_in_from_device)


@blueprint.route("/refresh/", methods=["POST"])
@rate_limits.limit(RATE_REFRESH_ADDRESS=by_address)
@problems.document(400, 401, 413, 415, 503)
@blueprint.arguments(RefreshSchema)
@blueprint.response(200, TokensSchema)
def refresh(presented: dict[str, str]) -> sessions.Login:
    """Spend a refresh token for a new pair of tokens.

    The token works until the new pair has been seen: until an access token of it, or its refresh token, was used. Until
    then the same request gives the same pair, and for ten seconds more; later it ends the session (`session_ended`).
    """
    return rotation.refresh(presented["refresh_token"], _read_device())


@blueprint.route("/logout/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(503)
@blueprint.without_fields
@blueprint.response(204)
def log_out() -> None:
    """End this session; its tokens die."""
    sessions.log_out(authentication.current())


@blueprint.route("/me/", methods=["GET"])
@authentication.required(authentication.ANY_SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(503)
@blueprint.response(200, UserSchema)
def get_me() -> accounts.Account:
    """Show the caller's account."""
    return accounts.get_account(authentication.current())


@blueprint.route("/me/", methods=["PATCH"])
@authentication.required(None)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 409, 413, 415, 503)
@blueprint.arguments(ProfileSchema)
@blueprint.response(200, UserSchema)
def change_me(profile: dict[str, str]) -> accounts.Account:
    """Change the caller's username."""
    return accounts.rename(authentication.current(), profile["username"])


@blueprint.route("/me/password/", methods=["POST"])
@authentication.required(None)
@rate_limits.limit(RATE_LOGIN_ADDRESS=by_address, RATE_LOGIN_ACCOUNT=by_user)
@problems.document(400, 413, 415, 503)
@blueprint.arguments(PasswordChangeSchema)
@blueprint.response(204)
def change_password(passwords: dict[str, str]) -> None:
    """Change the caller's password; all their other sessions end."""
    login_limits.queue_hashes_by_network()
    accounts.change_password(authentication.current(), **passwords)


def _read_device() -> Device:
    """Return the device that sent this request, as far as its headers tell."""
    words = "".join(character if character.isprintable() else " " for character in request.user_agent.string)
    return Device(words[:MAX_USER_AGENT_LENGTH].strip() or None, networks.shown_network(request.remote_addr or ""))
