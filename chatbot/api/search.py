"""Routes for search: passages without a model."""

from typing import Any

from chatbot.schemas.knowledge import FoundListSchema, SearchSchema
from chatbot.services.chat import grounding
from chatbot.services.knowledge.search import hybrid
from chatbot.web import authentication, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("search", __name__, url_prefix="/api/search", description="Passages without a model")


@blueprint.route("/", methods=["POST"])
@authentication.required("knowledge:read")
@rate_limits.limit(RATE_SEARCH_USER=by_user)
@problems.document(400, 404, 413, 415, 503)
@blueprint.arguments(SearchSchema)
@blueprint.response(200, FoundListSchema)
def search(body: dict[str, Any]) -> dict[str, Any]:
    """Find the passages that fit a query best, among all that the caller may read."""
    retrieved = hybrid.search(
        authentication.current(),
        body["query"],
        limit=body["limit"],
        collection_ids=body.get("collection_ids"),
        metadata_filter=body.get("filter"),
        max_per_document=body.get("per_document", hybrid.MAX_PER_DOCUMENT),
    )
    return {"items": [grounding.to_dict(one) for one in retrieved.found], "notes": retrieved.notes}
