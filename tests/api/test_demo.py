"""The chat page at `/demo/`."""

import re

import pytest

from tests.conftest import MakeApp
from tests.support.databases import SECRETS
from tests.support.processes import ROOT

FOLDER = ROOT / "examples" / "web"
NAMES = sorted(path.name for path in FOLDER.iterdir())
SCRIPTS = [name for name in NAMES if name.endswith(".js")]
MAX_LINES = 400  # of a file
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
    for name in names:  # and what these import
        file = client.get(f"/demo/{name}")
        assert (file.status_code, file.text) == (200, (FOLDER / name).read_text())
        assert file.mimetype == {"js": "text/javascript", "css": "text/css"}[name.rpartition(".")[2]]
        names += [one for one in re.findall(r'from "\./([\w.]+)"', file.text) if one not in names]
    assert sorted(["index.html", *names]) == NAMES


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
    texts = {name: (FOLDER / name).read_text().splitlines() for name in NAMES}
    assert {name: len(lines) for name, lines in texts.items() if len(lines) >= MAX_LINES} == {}
    assert max(len(line) for lines in texts.values() for line in lines) <= MAX_LINE_LENGTH


def test_the_page_makes_no_html_of_texts() -> None:
    code = "\n".join((FOLDER / name).read_text() for name in SCRIPTS)
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "cookie"):
        assert name not in code
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"https?://", page + code)
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)
