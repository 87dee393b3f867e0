"""Doors for probes."""

from typing import Any

from ..schemas.health import HealthSchema
from ..services import health
from . import limits
from .blueprint import Blueprint
from .limits import by_address

blueprint = Blueprint("health", __name__, description="Probes")


@blueprint.route("/healthz", methods=["GET"])
@blueprint.response(200, HealthSchema)
def get_health() -> dict[str, Any]:
    """Tell that the process lives."""
    return {"status": "ok"}


@blueprint.route("/readyz", methods=["GET"])
@limits.limit(RATE_PUBLIC_ADDRESS=by_address)
@blueprint.response(200, HealthSchema)
@blueprint.alt_response(503, schema=HealthSchema)
def get_readiness() -> tuple[dict[str, Any], int]:
    """Tell whether the process can serve, and what is degraded."""
    checks = health.checks()
    ready = checks["database"] == checks["turns"] == "ok"
    whole = set(checks.values()) == {"ok"}
    status = "ok" if whole else "degraded" if ready else "unavailable"
    return {"status": status, "checks": checks}, 200 if ready else 503
