"""The API document and Swagger UI, from files that came with pip."""

import functools
from importlib.util import find_spec
from pathlib import Path

import orjson
from flask import Blueprint, Flask, Response, current_app, send_from_directory

from ..extensions import api

DESCRIPTION = "Errors are problem documents (RFC 9457) with a stable `code`."
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>Chatbot API</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css"><link rel="icon" href="/api/docs/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script></body>
</html>
"""
START = 'SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#ui", deepLinking: true});\n'
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"

blueprint = Blueprint("docs", __name__, url_prefix="/api")


def init_app(app: Flask) -> None:
    """Open the doors of the document."""
    app.register_blueprint(blueprint)


def document() -> bytes:
    """Return the OpenAPI 3.1 document as JSON, made once for an application."""
    kept = current_app.extensions
    if "chatbot.openapi" not in kept:
        kept["chatbot.openapi"] = orjson.dumps(api.spec.to_dict(), option=orjson.OPT_INDENT_2)
    made: bytes = kept["chatbot.openapi"]
    return made


@blueprint.get("/openapi.json")
def get_document() -> Response:
    """Serve the OpenAPI document."""
    return Response(document(), mimetype="application/json")


@blueprint.get("/docs/")
def get_page() -> Response:
    """Serve Swagger UI."""
    return Response(PAGE, headers={"Content-Security-Policy": POLICY})


@blueprint.get("/docs/<path:name>")
def get_file(name: str) -> Response:
    """Serve one of Swagger UI's files."""
    if name == "start.js":
        return Response(START, mimetype="text/javascript")
    return send_from_directory(_files(), name, max_age=86_400)


@functools.cache
def _files() -> Path:
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("flask-swagger-ui")
    return Path(spec.origin).parent / "dist"
