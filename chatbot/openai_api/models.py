"""Routes for models, in OpenAI's shape."""

from typing import Any

from chatbot.schemas.completions import ModelSchema, ModelsSchema
from chatbot.services.chat.protocols import openai
from chatbot.web import authentication, openai_errors, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("models", __name__, url_prefix="/v1/models", description="For OpenAI's clients")


@blueprint.route("", methods=["GET"])
@openai_errors.document
@authentication.required("v1")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(503)
@blueprint.response(200, ModelsSchema)
def list_models() -> dict[str, Any]:
    """List the models that may be asked."""
    return {"data": openai.list_models(authentication.current())}


@blueprint.route("/<path:name>", methods=["GET"])
@openai_errors.document
@authentication.required("v1")
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, ModelSchema)
def get_model(name: str) -> openai.Model:
    """Show one model."""
    return openai.require_model(authentication.current(), name)
