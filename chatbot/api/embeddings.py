"""The door of the embedder for OpenAI's clients."""

from typing import Any

from ..schemas.completions import EmbeddingRequestSchema, EmbeddingsSchema
from ..services import completions
from . import caller, limits, openai_errors, problems
from .blueprint import Blueprint
from .limits import by_user

blueprint = Blueprint("embeddings", __name__, url_prefix="/v1/embeddings", description="For OpenAI's clients")


@blueprint.route("", methods=["POST"])
@openai_errors.document
@caller.required
@limits.limit(RATE_SEARCH_USER=by_user)
@problems.document(400, 404, 413, 415, 502, 503)
@blueprint.arguments(EmbeddingRequestSchema)
@blueprint.response(200, EmbeddingsSchema)
def create_embeddings(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the vectors of texts, as the knowledge base has them."""
    vectors, tokens = completions.embed(wanted["model"], wanted["input"], wanted["encoding_format"])
    items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": items, "model": wanted["model"], "usage": usage}
