"""Routes of the invitations to collections."""

from typing import Any
from uuid import UUID

from chatbot.schemas.knowledge import CollectionSchema, InvitationListSchema, PageSchema
from chatbot.services.knowledge import members, records
from chatbot.web import authentication, pagination, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("invitations", __name__, url_prefix="/api/invitations", description="Invitations to collections")


@blueprint.route("/", methods=["GET"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, InvitationListSchema)
def list_invitations(query: dict[str, Any]) -> dict[str, Any]:
    """List the caller's open invitations by time, a page at a time."""
    return pagination.page(members.list_invitations, query, authentication.current())


@blueprint.route("/<uuid:invitation_id>/accept/", methods=["POST"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 409, 503)
@blueprint.without_fields
@blueprint.response(200, CollectionSchema)
def accept_invitation(invitation_id: UUID) -> records.Collection:
    """Become a member of the collection; its documents are searched for the caller from now on."""
    return members.accept(authentication.current(), invitation_id)


@blueprint.route("/<uuid:invitation_id>/", methods=["DELETE"])
@authentication.required("knowledge:write")
@rate_limits.limit(RATE_WRITE_USER=by_user)
@problems.document(404, 503)
@blueprint.response(204)
def decline_invitation(invitation_id: UUID) -> None:
    """Decline an invitation."""
    members.decline(authentication.current(), invitation_id)
