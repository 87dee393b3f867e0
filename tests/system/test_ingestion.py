"""Documents under a real gunicorn: every format through the parsers' process, and workers that are killed meanwhile."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.rag.loaders import samples
from tests.support import chaos_documents
from tests.support.processes import Server, Upstream
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

KILLS = 3


def ended(server: Server, token: str, seconds: float = 60) -> list[dict[str, Any]]:
    """Wait until every document is ready or has failed; returns them."""

    def find() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = server.call("GET", "/api/documents/?limit=100", token=token)[2]["items"]
        return items if all(one["status"] in {"ready", "failed"} for one in items) else None

    return wait_for(find, seconds, interval=0.2) or []


def test_killed_workers_leave_the_same_passages_as_an_undisturbed_run(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    wrong, seen = chaos_documents.run(tmp_path, upstream, KILLS, DATABASE_URL=database_url)
    assert wrong == {}
    assert (seen["killed"], seen["passages"]) == (KILLS, 600)


def test_every_format_is_read_found_and_quoted(server: Server) -> None:
    token = server.sign_in("reader")
    files = {
        "note.txt": b"The txt word is apfelstrudel.",
        "note.md": b"# Title\n\nThe md word is birnenkuchen.",
        "note.html": b"<h1>Title</h1><p>The html word is <b>zwetschgendatschi</b>.</p>",
        "note.csv": b"name,word\ncsv,kaiserschmarrn\n",
        "note.pdf": samples.pdf(samples.shown("The pdf word is germknoedel.")),
        "note.docx": samples.docx(samples.paragraph("The docx word is topfenstrudel.")),
    }
    words = ["apfelstrudel", "birnenkuchen", "zwetschgendatschi", "kaiserschmarrn", "germknoedel", "topfenstrudel"]
    for name, data in files.items():
        boundary = "frontier"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
            + data
            + f"\r\n--{boundary}--\r\n".encode()
        )
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
        connection.request("POST", "/api/documents/", body, headers)
        response = connection.getresponse()
        assert response.status == 202, response.read()
        assert json.loads(response.read())["status"] == "queued"
        connection.close()
    documents = {one["title"]: one for one in ended(server, token)}
    assert {one["status"] for one in documents.values()} == {"ready"}, documents
    for word in words:
        status, _, found = server.call("POST", "/api/search/", {"query": word, "limit": 1}, token)
        assert (status, word in found["items"][0]["quote"]) == (200, True)
        if word == "germknoedel":
            assert found["items"][0]["page"] == 1
