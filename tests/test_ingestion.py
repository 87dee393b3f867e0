"""Documents under a real gunicorn: every format through the parsers' process, and workers that are killed meanwhile."""

import http.client
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from tests.processes import UNMEASURED, Server, Upstream, running
from tests.rag.loaders import samples

KILLS = 6
DOCUMENTS = 50


def ended(server: Server, token: str, seconds: float = 60) -> list[dict[str, Any]]:
    """Wait until every document is ready or has failed; returns them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        items = server.call("GET", "/api/documents/?limit=100", token=token)[2]["items"]
        if all(one["status"] in {"ready", "failed"} for one in items):
            return items
        time.sleep(0.2)
    raise TimeoutError(str(items))


def chunks(server: Server, token: str, document: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("GET", f"/api/documents/{document}/chunks/?limit=100", token=token)[2][
        "items"
    ]
    return found


def text(n: int) -> str:
    return "\n\n".join(f"Paragraph {part} of document {n} tells of number {n * part}. " * 6 for part in range(1, 9))


def test_killed_workers_leave_the_same_passages_as_an_undisturbed_run(tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "quiet").mkdir()
    (tmp_path / "killed").mkdir()
    with running(tmp_path / "quiet", OPENAI_BASE_URL=upstream.url) as server:
        token = server.sign_in()
        for n in range(DOCUMENTS):
            server.call("POST", "/api/documents/", {"title": f"D{n}", "text": text(n)}, token)
        expected = {one["title"]: chunks(server, token, one["id"]) for one in ended(server, token)}
    dice = random.Random(7)
    with running(tmp_path / "killed", OPENAI_BASE_URL=upstream.url, **UNMEASURED) as server:
        token = server.sign_in()
        for n in range(DOCUMENTS):
            server.call("POST", "/api/documents/", {"title": f"D{n}", "text": text(n)}, token)
            if n % (DOCUMENTS // KILLS) == 3:
                time.sleep(dice.random() * 0.1)
                os.kill(server.workers()[0], signal.SIGKILL)
        found = {one["title"]: (one["status"], chunks(server, token, one["id"])) for one in ended(server, token)}
        assert server.flask("knowledge", "verify").stdout == "Found 0 faults.\n"
    assert {status for status, _ in found.values()} == {"ready"}
    assert {title: parts for title, (_, parts) in found.items()} == expected


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
