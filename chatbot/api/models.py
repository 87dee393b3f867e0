"""Doors of the models that OpenAI's clients may ask."""

from typing import Any

from ..schemas.completions import ModelSchema, ModelsSchema
from ..services import completions
from . import caller, limits, openai_errors, problems
from .blueprint import Blueprint
from .limits import by_user

blueprint = Blueprint("models", __name__, url_prefix="/v1/models", description="For OpenAI's clients")


@blueprint.route("", methods=["GET"])
@openai_errors.document
@caller.required
@limits.limit(RATE_READ_USER=by_user)
@problems.document(503)
@blueprint.response(200, ModelsSchema)
def list_models() -> dict[str, Any]:
    """List the models that may be asked."""
    return {"data": [{"id": name} for name in completions.models(caller.current())]}


@blueprint.route("/<path:name>", methods=["GET"])
@openai_errors.document
@caller.required
@limits.limit(RATE_READ_USER=by_user)
@problems.document(404, 503)
@blueprint.response(200, ModelSchema)
def get_model(name: str) -> dict[str, Any]:
    """Show one model."""
    return {"id": completions.require_model(caller.current(), name)}
