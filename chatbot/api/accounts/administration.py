"""Routes for administrators, and each user's log of the times at which they read the user's data."""

from typing import Any
from uuid import UUID

from chatbot.schemas.accounts.administration import (
    AccessListSchema,
    AuditListSchema,
    AuditQuerySchema,
    ManagedUserListSchema,
    ManagedUserQuerySchema,
    ManagedUserSchema,
    ReasonSchema,
    UserChangeSchema,
)
from chatbot.schemas.chat import TurnSchema
from chatbot.schemas.knowledge import PageSchema, TraceSchema
from chatbot.services.administration import audit, users
from chatbot.services.analytics import turn_access
from chatbot.services.chat.records import Trace, Turn
from chatbot.services.usage.budgets import Limit
from chatbot.web import authentication, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("administration", __name__, url_prefix="/api", description="For administrators")

SCOPE = "admin"


@blueprint.route("/admin/users/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(ManagedUserQuerySchema, location="query")
@blueprint.response(200, ManagedUserListSchema)
def list_users(query: dict[str, Any]) -> dict[str, Any]:
    """List all accounts by time."""
    return pagination.page(users.list_users, query, authentication.current())


@blueprint.route("/admin/users/<uuid:user_id>/", methods=["PATCH"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(400, 404, 409, 413, 415, 503)
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, ManagedUserSchema)
def change_user(values: dict[str, Any], user_id: UUID) -> users.ManagedAccount:
    """Change an account's role or budgets, disable or enable it; it needs a login at most ten minutes old.

    `budgets` bound what its turns use; other processes apply the first one of an account within 5 seconds.
    """
    limits = [Limit(**limit) for limit in values.pop("budgets")] if "budgets" in values else None
    return users.change_user(authentication.current(), user_id, **values, limits=limits)


@blueprint.route("/admin/users/<uuid:user_id>/sessions/end/", methods=["POST"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.without_fields
@blueprint.response(204)
def end_user_sessions(user_id: UUID) -> None:
    """End all sessions of a user; their API keys go on."""
    users.end_sessions(authentication.current(), user_id)


@blueprint.route("/admin/turns/<uuid:turn_id>/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(ReasonSchema, location="query")
@blueprint.response(200, TurnSchema)
def read_turn(query: dict[str, Any], turn_id: UUID) -> Turn:
    """Show a turn of any user for a reason, which is in the audit log and in the user's access log from then on."""
    return turn_access.read_turn(authentication.current(), turn_id, query["reason"])


@blueprint.route("/admin/turns/<uuid:turn_id>/trace/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 404, 503)
@blueprint.arguments(ReasonSchema, location="query")
@blueprint.response(200, TraceSchema)
def read_trace(query: dict[str, Any], turn_id: UUID) -> Trace:
    """Show why a turn of any user was answered as it was, for a reason that is logged in the same way."""
    return turn_access.read_trace(authentication.current(), turn_id, query["reason"])


@blueprint.route("/admin/audit/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, AuditListSchema)
def list_audit_entries(query: dict[str, Any]) -> dict[str, Any]:
    """List the acts of administrators, the newest first."""
    return pagination.page(audit.list_entries, query, authentication.current())


@blueprint.route("/users/me/access-log/", methods=["GET"])
@authentication.required(None)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, AccessListSchema)
def list_accesses(query: dict[str, Any]) -> dict[str, Any]:
    """List the times at which administrators read the caller's data, with their reasons."""
    return pagination.page(audit.list_accesses, query, authentication.current())
