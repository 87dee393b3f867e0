"""The route for Prometheus, from this machine or with the token."""

import hmac
import ipaddress

from flask import Response, current_app, request

from chatbot.errors import Unauthenticated
from chatbot.observability import metrics
from chatbot.web import authentication, problems, rate_limits
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_address

blueprint = Blueprint("metrics", __name__, description="Numbers for Prometheus")
PROXY_HEADERS = (
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-IP",
)  # fmt: skip
ACCESS = "From this machine without a credential, where no proxy is trusted; else with `METRICS_TOKEN` as bearer token."
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@blueprint.route("/metrics", methods=["GET"])
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
@problems.document(401, responses={"200": {"description": "OK", "content": {"text/plain": {}}}}, description=ACCESS)
def get_metrics() -> Response:
    """Return the metrics in Prometheus' text format."""
    if not _is_local():
        token = current_app.config["METRICS_TOKEN"]
        if not token or not hmac.compare_digest(authentication.credential().encode(), token.encode()):
            raise Unauthenticated("Send `Authorization: Bearer <METRICS_TOKEN>`.")
    return Response(metrics.text(), content_type=CONTENT_TYPE)


def _is_local() -> bool:
    """Return whether this request comes from this machine and not through a proxy on it, as far as that can be seen."""
    if current_app.config["TRUSTED_PROXIES"] or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:  # a Unix socket has no address
        return False
