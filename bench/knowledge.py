"""A server's knowledge base as a client sees it, over connections that stay open."""

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.processes import Server

POLL_SECONDS = 0.05


class Knowledge:
    """Sends documents and searches; each thread has a connection of its own."""

    def __init__(self, server: Server, script: Path) -> None:
        self.server = server
        self._script = script
        self._token = server.sign_in()
        self._local = threading.local()
        self._names: dict[str, str] = {}
        self.script: dict[str, str] = {}  # what the upstream says to a question

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request; raises RuntimeError for an error."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body)
        try:
            response = self._asked(method, path, sent, headers)
        except ConnectionError:  # it rested for too long; http.client.RemoteDisconnected is one of them
            del self._local.connection
            response = self._asked(method, path, sent, headers)
        data = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        return json.loads(data) if data else None

    def _asked(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self._local.connection.request(method, path, body, headers)
        response: http.client.HTTPResponse = self._local.connection.getresponse()
        return response

    def collection(self, name: str) -> str:
        """Make a collection; returns its id."""
        return str(self.call("POST", "/api/collections/", {"name": name})["id"])

    def send(self, home: str, name: str, title: str, text: str) -> str:
        """Send a document; returns its id, which stands for the name from now on."""
        body = {
            "title": (title or name)[:255],
            "text": text or title or "(empty)",
            "collection_id": home,
            "external_id": name,
        }
        made = str(self.call("POST", "/api/documents/", body)["id"])
        self._names[made] = name
        return made

    def name(self, document_id: str) -> str:
        """Return the name that a document was sent by."""
        return self._names[document_id]

    def write_script(self) -> None:
        """Write the script of the upstream's answers."""
        self._script.write_text(json.dumps(self.script))

    def wait(self) -> None:
        """Wait until nothing is queued or worked on; raises RuntimeError when a document failed."""
        for status in ("queued", "processing"):
            while self.call("GET", f"/api/documents/?limit=1&status={status}")["items"]:
                time.sleep(POLL_SECONDS)
        failed = self.call("GET", "/api/documents/?limit=1&status=failed")["items"]
        if failed:
            raise RuntimeError(str(failed[0]))

    def search(self, query: str, home: str, limit: int = 10, **said: Any) -> Any:
        """Search a collection."""
        return self.call("POST", "/api/search/", {"query": query, "limit": limit, "collection_ids": [home], **said})

    def ranked(self, query: str, home: str) -> list[str]:
        """Return the names of the documents that fit a query best, each once."""
        items = self.search(query, home, limit=100, per_document=1)["items"]
        return list(dict.fromkeys(self._names[one["document_id"]] for one in items))

    def timed(self, query: str, home: str) -> float:
        """Return the seconds that a search takes."""
        started = time.monotonic()
        self.search(query, home)
        return time.monotonic() - started
