"""Routes for probes."""

from typing import Any

from chatbot.schemas.health import HealthSchema
from chatbot.services.operations import readiness
from chatbot.web import rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address

blueprint = Blueprint("health", __name__, description="Probes")


@blueprint.route("/healthz", methods=["GET"])
@blueprint.response(200, HealthSchema)
def get_health() -> dict[str, Any]:
    """Show that the process is alive."""
    return {"status": "ok"}


@blueprint.route("/readyz", methods=["GET"])
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
@blueprint.response(200, HealthSchema)
@blueprint.alt_response(503, schema=HealthSchema)
def get_readiness() -> tuple[dict[str, Any], int]:
    """Show whether the process can serve, and its degraded parts."""
    checks = readiness.checks()
    if checks["database"] != "ok" or checks["turns"] != "ok":
        return {"status": "unavailable", "checks": checks}, 503
    status = "ok" if set(checks.values()) == {"ok"} else "degraded"
    return {"status": status, "checks": checks}, 200
