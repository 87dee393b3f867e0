"""The page `/account/` that mails lead to: a new password, a confirmed address. It needs no other page of an app."""

from pathlib import Path

from flask import Blueprint, Response
from werkzeug import Response as WerkzeugResponse

from chatbot.api.assets import STRICT_POLICY, Page
from chatbot.web import rate_limits
from chatbot.web.rate_limits import by_address

FOLDER = Path(__file__).parent / "files"
FILES = {"index.html": "text/html", "account.css": "text/css", "account.js": "text/javascript"}
PAGE = Page(FOLDER, FILES, STRICT_POLICY)

blueprint = Blueprint("account", __name__, url_prefix="/account")


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
