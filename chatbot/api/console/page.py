"""The page `/console/`: usage, turns, documents, accounts and the load of a server, for administrators.

It is open to all and shows nothing by itself: it reads the routes of the API with the token of the login on it.
"""

from pathlib import Path

from flask import Blueprint, Response
from werkzeug import Response as WerkzeugResponse

from chatbot.api.assets import STRICT_POLICY, Page
from chatbot.web import rate_limits
from chatbot.web.rate_limits import by_address

SCRIPTS = (
    *("accounts.js", "app.js", "budgets.js", "chart.js", "documents.js", "dom.js", "format.js", "live.js", "period.js"),
    *("reports.js", "session.js", "turns.js", "usage.js"),
)
FILES = {"index.html": "text/html", "console.css": "text/css", **dict.fromkeys(SCRIPTS, "text/javascript")}
VENDOR_FILES = {
    "uPlot.iife.min.js": "text/javascript",
    "uPlot.min.css": "text/css",
    "uPlot.LICENSE.txt": "text/plain",
}
PAGE = Page(Path(__file__).parent / "files", FILES, f"{STRICT_POLICY}; img-src data:")  # an icon of no bytes
VENDOR = Page(Path(__file__).parent / "vendor", VENDOR_FILES, STRICT_POLICY)

blueprint = Blueprint("console", __name__, url_prefix="/console")


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


@blueprint.get("/vendor/<name>")
@rate_limits.limit(RATE_PUBLIC_ADDRESS=by_address)
def get_vendor_file(name: str) -> Response:
    """Serve one of the files of others that the page uses."""
    return VENDOR.serve(name)
