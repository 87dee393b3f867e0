"""The route for a user's budgets."""

from typing import Any

from chatbot.schemas.accounts.budgets import BudgetListSchema
from chatbot.services.usage import budgets
from chatbot.web import authentication, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("budgets", __name__, url_prefix="/api/users/me/budgets", description="What may be used")


@blueprint.route("/", methods=["GET"])
@authentication.required(authentication.ANY_SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(503)
@blueprint.response(200, BudgetListSchema)
def list_budgets() -> dict[str, Any]:
    """List the budgets that bound the caller's turns: the user's, and that of the API key where one is used."""
    return {"items": budgets.list_budgets(authentication.current())}
