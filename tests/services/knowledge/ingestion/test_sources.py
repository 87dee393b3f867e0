"""Documents that are fetched from an address: where that is allowed, and one answer to all that is not."""

import http.server
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from chatbot.services.knowledge.ingestion import worker
from tests.api.test_documents import find, work
from tests.conftest import MakeApp, Person, join
from tests.rag.loaders.samples import pdf, shown

pytestmark = pytest.mark.both_databases

PAGE = b"<html><title>Bees</title><h1>Bees</h1><p>The waggle dance tells where the flowers are.</p></html>"


MEETING = "会議は水曜日の午後三時に始まります。"
PAPER = pdf(shown("The warranty lasts three years."))
FILES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/told": (200, {"Content-Type": "text/html; charset=Shift_JIS"}, f"<p>{MEETING}</p>".encode("cp932")),
    "/outranked": (200, {"Content-Type": "text/html; charset=shift_jis"}, f'<meta charset="utf-16"><p>{MEETING}</p>'.encode("cp932")),
    "/plain.txt": (200, {"Content-Type": "text/plain; charset=euc-jp"}, MEETING.encode("euc-jp")),
    "/wide": (200, {"Content-Type": "text/html; charset=utf-16le"}, f"<p>{MEETING}</p>".encode("utf-16-le")),
    "/wrong": (200, {"Content-Type": "text/html; charset=iso-8859-1"}, f"<p>{MEETING}</p>".encode()),
    "/deflated": (200, {"Content-Type": "text/html", "Content-Encoding": "deflate"}, zlib.compress(f"<p>{MEETING}</p>".encode())),
    "/transformed": (203, {"Content-Type": "text/html"}, f"<p>{MEETING}</p>".encode()),
    "/download?id=7": (200, {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="terms.pdf"'}, PAPER),
    "/extended": (200, {"Content-Type": "application/force-download", "Content-Disposition": "attachment; filename*=UTF-8''bedingungen%20f%C3%BCr.pdf"}, PAPER),
    "/untyped": (200, {}, PAPER),
    "/called_text/terms.pdf": (200, {"Content-Type": "text/plain; charset=utf-8"}, PAPER),
}  # fmt: skip


class Site(http.server.BaseHTTPRequestHandler):
    """Serves one page and counts the requests."""

    hits: list[str] = []

    def do_GET(self) -> None:
        self.hits.append(self.path)
        status, headers, body = FILES.get(self.path, (200, {"Content-Type": "text/html"}, PAGE))
        if self.path == "/odd":
            headers = {"Content-Type": "application/x-thing"}
            body = b"\0\1\2"
        self.send_response(404 if self.path == "/missing" else status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Site.hits = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(app: Flask, who: Person, url: str) -> dict[str, Any]:
    response = who.call("POST", "/api/documents/", {"url": url})
    assert response.status_code == 202, response.get_json()
    work(app)
    document: dict[str, Any] = who.call("GET", f"/api/documents/{response.get_json()['id']}/").get_json()
    return document


def test_allowed_address_is_fetched_stored_and_found(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=site)
    ada = join(app.test_client(), "ada")
    document = fetch(app, ada, f"http://{site}/bees")
    assert (document["status"], document["media_type"], document["bytes"]) == ("ready", "text/html", len(PAGE))
    assert document["title"] == "Bees"
    assert "waggle dance" in find(ada, "waggle")[0]["quote"]
    assert Site.hits == ["/bees"]
    (home,) = ada.call("GET", "/api/collections/").get_json()["items"]
    assert home["bytes"] == len(PAGE)


def text_of(who: Person, document: dict[str, Any]) -> str:
    chunks = who.call("GET", f"/api/documents/{document['id']}/chunks/").get_json()["items"]
    return " ".join(chunk["text"] for chunk in chunks)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_header_name_and_content_decide_together(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=site)
    ada = join(app.test_client(), "ada")
    for path, (_, _, body) in FILES.items():
        document = fetch(app, ada, f"http://{site}{path}")
        expected = ("application/pdf", "The warranty lasts three years.") if body is PAPER else (None, MEETING)
        assert text_of(ada, document).strip() == expected[1], path
        assert expected[0] in {None, document["media_type"]}


def test_title_that_was_said_stays(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=site)
    ada = join(app.test_client(), "ada")
    said = ada.call("POST", "/api/documents/", {"url": f"http://{site}/bees", "title": "Insects"}).get_json()
    work(app)
    assert ada.call("GET", f"/api/documents/{said['id']}/").get_json()["title"] == "Insects"


def test_slow_address_holds_up_no_other_document(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=site)
    ada = join(app.test_client(), "ada")
    for n in range(3):
        ada.call("POST", "/api/documents/", {"url": f"http://{site}/{n}"})
    sent = ada.call("POST", "/api/documents/", {"title": "Hours", "text": "The library is open."}).get_json()
    with app.app_context():
        assert worker.process_batch() == 1
    assert ada.call("GET", f"/api/documents/{sent['id']}/").get_json()["status"] == "ready"
    assert Site.hits == []
    with app.app_context():
        assert [worker.process_batch("fetched") for _ in range(4)] == [1, 1, 1, 0]


@pytest.mark.parametrize("url", ["ftp://docs.example/", "file:///etc/passwd", "docs.example/page", "//docs.example/"])
def test_address_of_another_scheme_is_400(ada: Person, url: str) -> None:
    response = ada.call("POST", "/api/documents/", {"url": url})
    assert (response.status_code, list(response.get_json()["errors"])) == (400, ["url"])


def test_every_refusal_is_the_same(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=f"{site} docs.example")
    ada = join(app.test_client(), "ada")
    port = site.split(":")[1]
    errors = [
        fetch(app, ada, url)["error"]
        for url in (
            f"http://localhost:{port}/", f"http://2130706433:{port}/", f"http://[::ffff:127.0.0.1]:{port}/", "http://docs.example:22/",
            "http://docs.example@127.0.0.1/", "http://169.254.169.254/latest/meta-data", f"http://{site}/missing",
            "http://127.0.0.1:1/",
        )
    ]  # fmt: skip
    assert all(error == errors[0] for error in errors)
    assert (errors[0]["code"], errors[0]["title"]) == ("address_refused", "This address cannot be fetched.")
    assert Site.hits == ["/missing"]


def test_without_a_list_no_private_address_is_asked(app: Flask, ada: Person, site: str) -> None:
    assert fetch(app, ada, f"http://{site}/")["error"]["code"] == "address_refused"
    assert Site.hits == []


def test_what_is_no_document_fails_as_such(make_app: MakeApp, site: str) -> None:
    app = make_app(INGEST_HOSTS=site)
    ada = join(app.test_client(), "ada")
    assert fetch(app, ada, f"http://{site}/odd")["error"]["code"] == "unsupported_document"


def test_production_fetches_nothing_without_a_list(make_app: MakeApp) -> None:
    app = make_app()
    app.config["APP_ENV"] = "production"
    ada = join(app.test_client(), "ada")
    refused = ada.call("POST", "/api/documents/", {"url": "https://docs.example/"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
