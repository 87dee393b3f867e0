"""The API document, that of the sockets, and Swagger UI from files that came with pip."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import orjson
from flask import Blueprint, Flask, Response, current_app

from chatbot.errors import NotFound
from chatbot.extensions import api
from chatbot.schemas import asyncapi, problem
from chatbot.web import rate_limits
from chatbot.web.rate_limits import by_address

from .assets import Asset, Assets

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>Chatbot API</title>
<style>
#errors { font-family: sans-serif; margin: 2em; } #errors td { padding: .3em 1em; } tr:target { background: #ffc; }
body:has(tr:target) #ui { display: none; }
</style>
<link rel="stylesheet" href="/api/docs/swagger-ui.css"><link rel="icon" href="/api/docs/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<table id="errors"><caption><a href="/api/docs/">Chatbot API</a>: what a problem's code means</caption>
<tr><th>code</th><th>status</th><th>meaning</th><th>a retry may help</th></tr>
{errors}
</table>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script></body>
</html>
"""
ERROR = "<tr id={code}><td>{code}</td><td>{status}</td><td>{title}</td><td>{retry}</td></tr>"
START = 'SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#ui", deepLinking: true, persistAuthorization: true});\n'
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

FILES = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
MAX_AGE_SECONDS = 86_400  # of those files
EXTENSION = "chatbot.docs"

blueprint = Blueprint("docs", __name__, url_prefix="/api")


def init_app(app: Flask) -> None:
    """Register the routes of the API document."""
    app.register_blueprint(blueprint)
    app.extensions[EXTENSION] = Assets()


def document() -> Asset:
    """Return the OpenAPI 3.1 document as JSON."""
    return _assets().get("openapi.json", _make_document)


@blueprint.get("/openapi.json")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_document() -> Response:
    """Serve the OpenAPI document."""
    return document().respond()


@blueprint.get("/asyncapi.json")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_asyncapi_document() -> Response:
    """Serve the AsyncAPI document of the sockets."""
    return _assets().get("asyncapi.json", _make_asyncapi_document).respond()


@blueprint.get("/docs/")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_page() -> Response:
    """Serve Swagger UI, and below it the codes, to which each problem's `type` leads."""
    response = _assets().get("page", _make_page).respond()
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/docs/<name>")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_file(name: str) -> Response:
    """Serve one of Swagger UI's files."""
    if name not in FILES:
        raise NotFound
    return _assets().get(name, partial(_make_file, name)).respond(max_age=MAX_AGE_SECONDS)


def _assets() -> Assets:
    assets: Assets = current_app.extensions[EXTENSION]
    return assets


def _make_document() -> Asset:
    return Asset(orjson.dumps(api.spec.to_dict(), option=orjson.OPT_INDENT_2), "application/json")


def _make_asyncapi_document() -> Asset:
    return Asset(orjson.dumps(asyncapi.describe(), option=orjson.OPT_INDENT_2), "application/json")


def _make_page() -> Asset:
    known = sorted(problem.BY_CODE.values(), key=lambda one: one.code)
    rows = [
        ERROR.format(code=one.code, status=one.status, title=one.title, retry="yes" if one.retryable else "")
        for one in known
    ]
    return Asset(PAGE.replace("{errors}", "\n".join(rows)).encode(), "text/html")


def _make_file(name: str) -> Asset:
    if name == "start.js":
        return Asset(START.encode(), FILES[name])
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("flask-swagger-ui")
    return Asset((Path(spec.origin).parent / "dist" / name).read_bytes(), FILES[name])
