"""The chat page at `/demo/`."""

import re

import pytest

from tests.conftest import MakeApp
from tests.support.databases import SECRETS
from tests.support.processes import ROOT

FOLDER = ROOT / "examples" / "web"
NAMES = ["app.js", "index.html", "style.css"]
MAX_LINES = 400
MAX_LINE_LENGTH = 120


@pytest.fixture
def stack() -> dict[str, str]:
    return {}  # nothing here asks the database


def test_development_serves_the_page_and_its_files(make_app: MakeApp) -> None:
    client = make_app(APP_ENV="development").test_client()
    page = client.get("/demo/")
    assert (page.status_code, page.mimetype, page.text) == (200, "text/html", (FOLDER / "index.html").read_text())
    names = re.findall(r'(?:src|href)="([\w.]+)"', page.text)
    assert sorted(names) == ["app.js", "style.css"]
    for name in names:
        file = client.get(f"/demo/{name}")
        assert (file.status_code, file.text) == (200, (FOLDER / name).read_text())
        assert file.mimetype == {"app.js": "text/javascript", "style.css": "text/css"}[name]


@pytest.mark.parametrize("path", ["/demo/", *(f"/demo/{name}" for name in NAMES)])
def test_the_policy_lets_nothing_in(make_app: MakeApp, path: str) -> None:
    policy = make_app(APP_ENV="development").test_client().get(path).headers["Content-Security-Policy"]
    directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert directives["connect-src"] == "'self' http://localhost:* http://127.0.0.1:*"


def test_files_are_found_below_the_page_alone(make_app: MakeApp) -> None:
    """Without the slash at its end the page's own names would lead elsewhere."""
    client = make_app(APP_ENV="development").test_client()
    moved = client.get("/demo?api=http://127.0.0.1:9000")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/demo/?api=http://127.0.0.1:9000")
    assert client.get("/demo").headers["Location"] == "/demo/"
    for name in ("README.md", "../library/rooms.csv", "..%2Flibrary%2Frooms.csv", "%2e%2e"):
        assert client.get(f"/demo/{name}").status_code == 404


@pytest.mark.parametrize("environment", ["production", "testing"])
def test_other_environments_have_no_page(make_app: MakeApp, environment: str) -> None:
    secrets = SECRETS if environment == "production" else {}
    client = make_app(APP_ENV=environment, BCRYPT_ROUNDS="10", **secrets).test_client()
    for path in ("/demo", "/demo/", *(f"/demo/{name}" for name in NAMES)):
        response = client.get(path)
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


def test_the_page_is_short() -> None:
    lines = [line for name in NAMES for line in (FOLDER / name).read_text().splitlines()]
    assert len(lines) < MAX_LINES
    assert max(map(len, lines)) <= MAX_LINE_LENGTH
    assert sorted(path.name for path in FOLDER.iterdir()) == NAMES


def test_the_page_makes_no_html_of_texts() -> None:
    code = (FOLDER / "app.js").read_text()
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "cookie"):
        assert name not in code
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"https?://", page + code)
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)
