"""The page at `/`: a description of the service, and links to its documents."""

from flask import Blueprint, Flask, Response, jsonify, request

from chatbot.web import rate_limits
from chatbot.web.rate_limits import by_address

LINKS = {
    "documentation": "/api/docs/",
    "openapi": "/api/openapi.json",
    "asyncapi": "/api/asyncapi.json",
    "console": "/console/",
    "errors": "/api/docs/#errors",
    "health": "/healthz",
    "readiness": "/readyz",
}
DESCRIPTION = "The chat back end for web and mobile applications."
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Chatbot API</title></head>
<body>
<h1>Chatbot API</h1>
<p>{description}</p>
<ul>
{links}
</ul>
</body>
</html>
"""
LINK = '<li><a href="{address}">{name}</a></li>'

blueprint = Blueprint("home", __name__)


def init_app(app: Flask) -> None:
    """Register the page."""
    app.register_blueprint(blueprint)


@blueprint.get("/")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_home() -> Response:
    """Describe the service: a page for browsers, JSON for other clients."""
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        links = "\n".join(LINK.format(address=address, name=name) for name, address in LINKS.items())
        response = Response(PAGE.format(description=DESCRIPTION, links=links), mimetype="text/html")
    else:
        response = jsonify(name="Chatbot API", description=DESCRIPTION, **LINKS)
    response.vary.add("Accept")
    return response
