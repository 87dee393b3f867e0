"""The page `/account/`, to which mails lead."""

import re

import pytest

from chatbot.api.accounts.page import FILES, FOLDER
from tests.conftest import MakeApp


@pytest.fixture
def stack() -> dict[str, str]:
    return {}  # nothing here asks the database


def test_page_has_its_files_and_no_others(make_app: MakeApp) -> None:
    client = make_app().test_client()
    page = client.get("/account/")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert {"index.html", *re.findall(r'(?:src|href)="([\w.]+)"', page.text)} == set(FILES)
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    for name, mimetype in FILES.items():
        file = client.get(f"/account/{name}")
        assert (file.status_code, file.mimetype, file.text) == (200, mimetype, (FOLDER / name).read_text())
    moved = client.get("/account")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/account/")
    assert client.get("/account/page.py").status_code == 404


def test_policy_lets_nothing_in(make_app: MakeApp) -> None:
    response = make_app().test_client().get("/account/")
    directives = dict(one.strip().partition(" ")[::2] for one in response.headers["Content-Security-Policy"].split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert response.headers["Referrer-Policy"] == "no-referrer"
