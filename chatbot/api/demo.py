"""The chat page of `examples/web` at `/demo/`, in development only."""

from flask import Blueprint, Flask, Response
from werkzeug import Response as WerkzeugResponse

import config
from chatbot.web import rate_limits
from chatbot.web.rate_limits import by_address

from .assets import Page

FOLDER = config.ROOT / "examples" / "web"
SCRIPTS = ("app.js", "chat.js", "citations.js", "client.js", "details.js", "messages.js", "rooms.js")
FILES = {"index.html": "text/html", "style.css": "text/css", **dict.fromkeys(SCRIPTS, "text/javascript")}
# Of its own files it runs and shows these alone, and HTML cannot be made of texts; it may call other servers of this
# machine (`?api=`), as their CORS_ORIGINS allow by default.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:;"
    " connect-src 'self' http://localhost:* http://127.0.0.1:*;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)
PAGE = Page(FOLDER, FILES, POLICY)

blueprint = Blueprint("demo", __name__, url_prefix="/demo")


def init_app(app: Flask) -> None:
    """Register the page of a development server."""
    if app.config["APP_ENV"] == "development":
        app.register_blueprint(blueprint)


@blueprint.get("/")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_page() -> WerkzeugResponse:
    """Serve the page."""
    return PAGE.serve_index()


@blueprint.get("/<name>")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_file(name: str) -> Response:
    """Serve one of the page's files."""
    return PAGE.serve(name)
