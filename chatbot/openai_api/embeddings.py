"""Routes for the embedder, in OpenAI's shape."""

from typing import Any

from chatbot.schemas.embeddings import EmbeddingRequestSchema, EmbeddingsSchema
from chatbot.services.chat.protocols import openai
from chatbot.web import authentication, openai_errors, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

from . import examples

blueprint = Blueprint("embeddings", __name__, url_prefix="/v1/embeddings", description="For OpenAI's clients")


@blueprint.route("", methods=["POST"])
@openai_errors.document
@authentication.required("v1")
@rate_limits.limit(RATE_SEARCH_USER=by_user)
@problems.document(400, 404, 413, 415, 502, 503)
@blueprint.arguments(EmbeddingRequestSchema, example=examples.with_model(EmbeddingRequestSchema, "embedding"))
@blueprint.response(200, EmbeddingsSchema)
def create_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Return the vectors of texts, as the knowledge base has them."""
    caller = authentication.current()
    rate_limits.tell_budgets(caller)
    embeddings = openai.embed(
        caller, body["model"], body["input"], body["encoding_format"] or "float", dimensions=body.get("dimensions")
    )
    items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(embeddings.vectors)]
    usage = {"prompt_tokens": embeddings.tokens, "total_tokens": embeddings.tokens}
    return {"object": "list", "data": items, "model": body["model"], "usage": usage}
