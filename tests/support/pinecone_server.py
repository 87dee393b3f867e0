"""A scripted Pinecone: the data plane of one index, in memory, with the SDK's own models."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import numpy as np
from pinecone import (
    DescribeIndexStatsResponse,
    FetchResponse,
    ListResponse,
    QueryResponse,
    ScoredVector,
    UpsertResponse,
    Vector,
)
from pinecone.models.vectors.responses import ListItem, NamespaceSummary, Pagination

from tests.support.waiting import let_pass

KEY = "a-key-of-pinecone"
PAGE = 3  # ids in one listing, few, so that there are several
MAX_BYTES = 2_000_000  # of a request, as the service has it
FIELDS = {  # that a request may have, those with ! it must
    "/vectors/upsert": {"vectors!", "namespace!"},
    "/query": {"topK!", "includeValues", "includeMetadata", "namespace!", "vector!", "filter"},
    "/vectors/delete": {"namespace!", "ids", "deleteAll", "filter"},
    "/describe_index_stats": set(),
    "/vectors/fetch": {"ids!", "namespace!"},
    "/vectors/list": {"namespace!", "paginationToken", "limit"},
}


class Refused(Exception):
    """A request that the service would not take; its status and its words."""


class PineconeServer:
    """One index; `lag` seconds pass before a read sees a write, `fault` is a status that each call is answered with."""

    def __init__(self, port: int, dimension: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.dimension = dimension
        self.lag = 0.0
        self.pause = 0.0
        self.fault = 0
        self.malformed = b""  # the body of each answer, where there is one
        self.calls: list[str] = []
        self._lock = threading.Lock()
        self._held: dict[str, dict[str, Vector]] = {}
        self._log: list[tuple[float, str, Any]] = []  # of what is not seen yet: when it is, what, with what

    def flush(self) -> None:
        """Let it lose all that it holds."""
        with self._lock:
            self._log.clear()
            self._held.clear()

    def answer(self, path: str, given: dict[str, Any]) -> Any:
        """Return one of the SDK's models; raises Refused."""
        self.calls.append(path)
        let_pass(self.pause)
        if self.fault:
            raise Refused(self.fault, "scripted")
        if path not in FIELDS:
            raise Refused(404, f"no such path {path}")
        known = {name.rstrip("!") for name in FIELDS[path]}
        missing = {name[:-1] for name in FIELDS[path] if name.endswith("!")} - given.keys()
        if missing or given.keys() - known:
            raise Refused(400, f"{path} lacks {missing} and does not know {given.keys() - known}")
        with self._lock:
            return getattr(self, path.rpartition("/")[2])(given)

    def upsert(self, given: dict[str, Any]) -> UpsertResponse:
        vectors = [msgspec.convert(one, Vector, strict=True) for one in given["vectors"]]
        if not 1 <= len(vectors) <= 1_000:
            raise Refused(400, "between 1 and 1,000 vectors")
        for one in vectors:
            if len(one.values) != self.dimension or not any(one.values):
                raise Refused(400, f"Vector dimension {len(one.values)} does not match the index's {self.dimension}")
        self._write("upsert", (given["namespace"], vectors))
        return UpsertResponse(upserted_count=len(vectors))

    def delete(self, given: dict[str, Any]) -> dict[str, Any]:
        if sum(name in given for name in ("ids", "deleteAll", "filter")) != 1:
            raise Refused(400, "one of ids, deleteAll and filter")
        if given["namespace"] not in self._seen(float("inf")):
            raise Refused(404, "Namespace not found")
        self._write("delete", given)
        return {}

    def query(self, given: dict[str, Any]) -> QueryResponse:
        if not 1 <= given["topK"] <= 10_000 or len(given["vector"]) != self.dimension:
            raise Refused(400, "topK or dimension")
        asked = np.array(given["vector"])
        matches = [
            ScoredVector(
                id=one.id, score=float(asked @ one.values / np.linalg.norm(asked) / np.linalg.norm(one.values))
            )
            for one in self._seen().get(given["namespace"], {}).values()
            if passes(given.get("filter"), one)
        ]
        matches.sort(key=lambda match: -match.score)
        return QueryResponse(matches=matches[: given["topK"]], namespace=given["namespace"])

    def describe_index_stats(self, _: dict[str, Any]) -> DescribeIndexStatsResponse:
        held = self._seen()
        return DescribeIndexStatsResponse(
            namespaces={name: NamespaceSummary(vector_count=len(all_)) for name, all_ in held.items()},
            dimension=self.dimension,
            total_vector_count=sum(map(len, held.values())),
        )

    def fetch(self, given: dict[str, Any]) -> FetchResponse:
        held = self._seen().get(given["namespace"][0], {})
        found = {one: held[one] for one in given["ids"] if one in held}
        return FetchResponse(vectors=found, namespace=given["namespace"][0])

    def list(self, given: dict[str, Any]) -> ListResponse:
        ids = sorted(self._seen().get(given["namespace"][0], {}))
        start = int(given.get("paginationToken", ["0"])[0])
        more = Pagination(next=str(start + PAGE)) if len(ids) > start + PAGE else None
        page = [ListItem(id=one) for one in ids[start : start + PAGE]]
        return ListResponse(vectors=page, pagination=more, namespace=given["namespace"][0])

    def _write(self, what: str, given: Any) -> None:
        self._log.append((time.monotonic() + self.lag, what, given))

    def _seen(self, now: float = 0.0) -> dict[str, dict[str, Vector]]:
        """Return the visible state of a read now; a later read sees no less."""
        held = {name: dict(vectors) for name, vectors in self._held.items()} if now else self._held
        log = self._log if not now else list(self._log)
        while log and log[0][0] <= (now or time.monotonic()):
            _, what, given = log.pop(0)
            apply(held, what, given)
        return {name: vectors for name, vectors in held.items() if vectors}


def apply(held: dict[str, dict[str, Vector]], what: str, given: Any) -> None:
    """Apply the writes."""
    if what == "upsert":
        held.setdefault(given[0], {}).update({one.id: one for one in given[1]})
        return
    here = held.setdefault(given["namespace"], {})
    for one in list(here.values()):
        if (
            given.get("deleteAll")
            or one.id in given.get("ids", ())
            or ("filter" in given and passes(given["filter"], one))
        ):
            del here[one.id]


def passes(condition: dict[str, Any] | None, one: Vector) -> bool:
    """Return whether a filter lets a vector pass; only `$in` on one field is known here."""
    if condition is None:
        return True
    ((field, operation),) = condition.items()
    ((name, values),) = operation.items()
    if name != "$in" or not 1 <= len(values) <= 10_000:
        raise Refused(400, f"{name} with {len(values)} values")
    return (one.metadata or {}).get(field) in values


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: PineconeServer

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        self._answer(413 if size > MAX_BYTES else 0, json.loads(body or b"{}"))

    def do_GET(self) -> None:
        self._answer(0, parse_qs(urlsplit(self.path).query))

    def _answer(self, refused: int, given: dict[str, Any]) -> None:
        status = 200
        body = b""
        try:
            if self.headers["Api-Key"] != KEY:
                raise Refused(401, "Invalid API Key")
            if refused:
                raise Refused(refused, "too large")
            answer = self.index.answer(unquote(urlsplit(self.path).path), given)
            body = self.index.malformed or msgspec.json.encode(answer)
        except Refused as error:
            status = error.args[0]
            body = json.dumps({"code": 3, "message": error.args[1]}).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", "0"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked has given up
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that went away."""


@contextlib.contextmanager
def pinecone_server(dimension: int) -> Iterator[PineconeServer]:
    """Serve an empty index of this dimension inside the block."""
    handler = type("IndexHandler", (Handler,), {})
    with Listener(("127.0.0.1", 0), handler) as listener:
        handler.index = PineconeServer(listener.server_address[1], dimension)
        thread = threading.Thread(target=listener.serve_forever, args=[0.05])
        thread.start()
        try:
            yield handler.index
        finally:
            listener.shutdown()
            thread.join()
