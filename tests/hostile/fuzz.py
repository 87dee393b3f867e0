"""A search for the worst text: every text field of every route, the answer's way and the loaders.

`/healthz` is asked all the time; an answer over HEALTH_SECONDS makes the requests of that moment suspects. On a machine
that does other work too a suspect proves nothing: it is tried again alone, and found guilty when it is slow again.
"""

import contextlib
import http.client
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.hostile.attack import HONEST, Watch
from tests.support.processes import Server
from tests.support.waiting import let_pass

SLOW_SECONDS = 0.25
SENDERS = 2
TRIES = 3  # of a suspect alone; it is guilty when each is slow
PIECES = [
    ".", " ", "\n", "[", "]", "(", ")", "<", ">", "`", "~", "*", "_", "-", "=", "#", "|", "\\", "/", '"', "'", "&", "!", "!?",
    "a", "a ", "1", "1,", "a.", "A.", "- ", "> ", "  - ", "1. ", "[1]", "[1-999]", "【1†", "![", "![](", "](", "<a ", "</a>",
    "<div><", "<!--", "```\n", "| a ", "\u0301", "\u0301\u0316", "\u0f73", "\uff9e", "\ufdfa", "\u00df", "\u0345", "\u200b",
    "\U0001f600", "中", "中a", "の", "ก", "한", "é", "://", "javascript:", "<|", "<|im_start|>", "</s>", "[INST]", "&lt;", "$$",
    "@", "a@", "www.", "%2e", "\t", "\r\n", ";", "a;b,", "{", "}", "0" * 50, "x" * 300,
]  # fmt: skip
SIZES = [10, 254, 1_000, 4_000, 16_000, 32_000]
FILES = {"txt": "", "md": "# Title\n\n", "html": "<html><body>", "csv": "a,b\n"}


@dataclass(frozen=True, eq=False)
class Sent:
    """One request of the search: enough to send it again; compared by its kind, not by its text."""

    method: str
    path: str
    body: Any = None
    file: tuple[str, bytes] | None = None
    headers: tuple[tuple[str, str], ...] = ()


def text(chance: random.Random) -> str:
    """Return a text of a few pieces repeated many times, with a beginning and an end of its own."""
    middle = "".join(chance.choices(PIECES, k=chance.choice([1, 1, 1, 2, 2, 3])))
    size = chance.choice(SIZES)
    begin, end = (chance.choice(["", *PIECES]) for _ in range(2))
    return (begin + middle * (size // len(middle)) + end)[:size]


def targets(server: Server, ids: dict[str, str]) -> list[tuple[str, str, dict[str, Any], list[str]]]:
    """Return method, path, a good body and the places of its texts, of every route that takes a JSON body."""
    document = server.call("GET", "/api/openapi.json", source=HONEST)[2]
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in {"post", "put", "patch"}:
                continue
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            schema = resolved(document, content["application/json"]["schema"])
            body = example(document, schema)
            filled = path
            for name, value in ids.items():
                filled = filled.replace(f"{{{name}}}", value)
            texts = [name for name, one in schema["properties"].items() if holds_text(document, one)]
            found.append((method.upper(), filled, body, texts))
    return found


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def holds_text(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    schema = resolved(document, schema)
    kinds = schema.get("type", "object")
    return bool({"string", "object", "array"} & ({kinds} if isinstance(kinds, str) else set(kinds)))


def example(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a body with an example of each field that is required."""
    return {
        name: resolved(document, schema["properties"][name]).get("example", "example")
        for name in schema.get("required", [])
    }


def hostile(chance: random.Random, value: str) -> Any:
    """Return a text as such, as a list or as an object, as fields take it."""
    return chance.choice(
        [value, value, value, [value] * 3, {value[:60]: value[:500]}, [{"role": "user", "content": value}]]
    )


def requests(server: Server, chance: random.Random, ids: dict[str, str]) -> Iterator[Sent]:
    """Yield requests without end."""
    routes = targets(server, ids)
    while True:
        kind = chance.random()
        worst = text(chance)
        if kind < 0.45:
            method, path, body, texts = chance.choice(routes)
            name = chance.choice(texts) if texts else "message"
            yield Sent(method, path, body | {name: hostile(chance, worst)})
        elif kind < 0.6:
            yield Sent("POST", "/api/chat/", {"message": worst, "grounding": chance.choice(["auto", "strict"])})
        elif kind < 0.7:
            yield Sent("POST", "/api/search/", {"query": worst[:4_000]})
        elif kind < 0.9:
            ending, lead = chance.choice(list(FILES.items()))
            yield Sent(
                "POST", "/api/documents/", None, (f"a.{ending}", (lead + worst * chance.choice([1, 5])).encode())
            )
        else:
            written = worst.encode().decode("latin-1").replace("\n", " ").replace("\r", " ")[:4_000]
            name = chance.choice(
                ["Idempotency-Key", "X-Request-ID", "Authorization", "Accept", "Prefer", "Last-Event-ID"]
            )
            yield Sent("GET", f"/api/chat/{ids['turn_id']}/events/", None, None, ((name, written),))


def send(server: Server, token: str, sent: Sent) -> int:
    """Send one request; return its status, 0 where none came."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", **dict(sent.headers)}
    body: bytes | None = None
    if sent.file is not None:
        name, data = sent.file
        part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        body = part + data + b"\r\n--x--\r\n"
        headers["Content-Type"] = "multipart/form-data; boundary=x"
    elif sent.body is not None:
        body = json.dumps(sent.body).encode()
        headers["Content-Type"] = "application/json"
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        connection.request(sent.method, sent.path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    return 0


class Search:
    """Sends hostile requests for a while, and finds those that repeatedly make others wait."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._in_flight: dict[int, Sent] = {}
        self.suspects: list[Sent] = []
        self.statuses: dict[int, int] = {}
        self.token = server.sign_in("searcher")
        turn = server.call("POST", "/api/chat/", {"message": "Hi"}, self.token)[2]
        sent = {"title": "Dots", "text": "The library is open from nine to five. " * 20}
        document = server.call("POST", "/api/documents/", sent, self.token)[2]
        self._ids = {
            "turn_id": turn["id"], "document_id": document["id"], "collection_id": document["collection_id"],
            "user_id": str(uuid4()), "invitation_id": str(uuid4()),
        }  # fmt: skip

    def run(self, seconds: float) -> list[Sent]:
        """Search for so long; return the requests that held others up, also alone."""
        deadline = time.monotonic() + seconds
        with Watch(self._server, self._suspect) as watch, ThreadPoolExecutor(SENDERS) as pool:
            chances = [random.Random(self._chance.random()) for _ in range(SENDERS)]
            list(pool.map(self._send_until, [deadline] * SENDERS, chances, range(SENDERS)))
        assert watch.answers > seconds
        return [sent for sent in dict.fromkeys(self.suspects) if self._is_guilty(sent)]

    def _send_until(self, deadline: float, chance: random.Random, number: int) -> None:
        for sent in requests(self._server, chance, self._ids):
            if time.monotonic() > deadline:
                return
            self._in_flight[number] = sent
            status = send(self._server, self.token, sent)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def _suspect(self, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            self.suspects += self._in_flight.values()

    def _is_guilty(self, sent: Sent) -> bool:
        """Return whether a request alone holds others up each time, beside moments in which nothing is sent."""
        for _ in range(TRIES):
            with Watch(self._server) as quiet:
                let_pass(0.5)
            with Watch(self._server) as watch:
                send(self._server, self.token, sent)
                let_pass(0.3)  # what it left to be done, such as a document to be read
            if watch.slowest < SLOW_SECONDS + quiet.slowest:
                return False
        return True
