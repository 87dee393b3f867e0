"""The page `/console/`: its files, their size and their policy."""

import gzip
import hashlib
import re

import pytest

from chatbot.api.console.page import FILES, PAGE, SCRIPTS, VENDOR, VENDOR_FILES
from tests.conftest import MakeApp
from tests.support.databases import SECRETS

MAX_PACKED_BYTES = 80 * 1024
MAX_LINES = 300  # of a file
MAX_LINE_LENGTH = 120
ADDRESSES = [*(f"/console/{name}" for name in FILES), *(f"/console/vendor/{name}" for name in VENDOR_FILES)]


@pytest.fixture
def stack() -> dict[str, str]:
    return {}  # nothing here asks the database


@pytest.mark.parametrize("environment", ["production", "development"])
def test_page_has_its_files_and_no_others(make_app: MakeApp, environment: str) -> None:
    secrets = SECRETS if environment == "production" else {}
    client = make_app(APP_ENV=environment, BCRYPT_ROUNDS="10", **secrets).test_client()
    page = client.get("/console/")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    names = re.findall(r'(?:src|href)="([\w./]+)"', page.text)
    for name in names:  # and what these import
        file = client.get(f"/console/{name}")
        assert (file.status_code, file.mimetype) == (200, "text/javascript" if name.endswith(".js") else "text/css")
        names += [one for one in re.findall(r'from "\./([\w.]+)"', file.text) if one not in names]
    assert {one for one in names if "/" not in one} | {"index.html"} == set(FILES)
    assert {path.name for path in PAGE.folder.iterdir()} == set(FILES)
    assert {path.name for path in VENDOR.folder.iterdir()} == {*VENDOR_FILES, "README.md"}
    moved = client.get("/console")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/console/")
    for name in ("page.py", "vendor/README.md", "vendor/index.html", "..%2Fpage.py"):
        assert client.get(f"/console/{name}").status_code == 404


def test_files_are_small_together(make_app: MakeApp) -> None:
    client = make_app().test_client()
    packed = {address: client.get(address, headers={"Accept-Encoding": "gzip"}) for address in ADDRESSES}
    assert {one.content_encoding for one in packed.values()} == {"gzip"}
    assert all(gzip.decompress(one.data) == client.get(address).data for address, one in packed.items())
    assert sum(len(one.data) for one in packed.values()) <= MAX_PACKED_BYTES


@pytest.mark.parametrize("address", ADDRESSES)
def test_policy_lets_nothing_in(make_app: MakeApp, address: str) -> None:
    response = make_app().test_client().get(address)
    directives = dict(one.strip().partition(" ")[::2] for one in response.headers["Content-Security-Policy"].split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert directives.get("img-src", "data:") == "data:"


def test_files_of_others_are_as_they_were_published() -> None:
    listed = dict(
        re.findall(r"^\| `([\w.]+)` .* `(\w{64})` \|$", (VENDOR.folder / "README.md").read_text(), re.MULTILINE)
    )
    found = {name: hashlib.sha256((VENDOR.folder / name).read_bytes()).hexdigest() for name in VENDOR_FILES}
    assert listed == {name: digest for name, digest in found.items() if name in listed}
    assert set(VENDOR_FILES) - set(listed) == {"uPlot.LICENSE.txt"}
    assert "v1.6.32" in (VENDOR.folder / "uPlot.iife.min.js").read_text()


def test_page_is_readable_and_makes_no_html_of_texts() -> None:
    texts = {name: (PAGE.folder / name).read_text() for name in FILES}
    assert {name: text.count("\n") for name, text in texts.items() if text.count("\n") > MAX_LINES} == {}
    assert max(len(line) for text in texts.values() for line in text.splitlines()) <= MAX_LINE_LENGTH
    code = "\n".join(texts[name] for name in SCRIPTS)
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "cookie"):
        assert name not in code
    assert not re.search(r"https?://", "".join(texts.values()))
    assert not re.search(r"\s(on\w+|style)=", texts["index.html"])
