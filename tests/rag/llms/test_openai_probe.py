"""Servers of models that are asked, without a token, whether they answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chatbot.rag import errors
from chatbot.rag.llms.openai import OpenAILLM
from chatbot.rag.types import LLMOptions
from tests.support.processes import Upstream, free_port

JSON = "application/json"
HTML = "text/html"
NOWHERE = (404, HTML, b"404 page not found")
Answer = tuple[int, str, bytes]
Serve = Callable[[Answer, Answer], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves one answer to each GET and another to each POST, and returns the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(listed: Answer, completed: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._tell(*listed)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._tell(*completed)

            def _tell(self, status: int, media_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def probe(url: str) -> None:
    with closing(OpenAILLM(LLMOptions("small-1", "sk-canary", base_url=url))) as model:
        model.probe()


def test_server_that_answers_has_no_fault(upstream: Upstream) -> None:
    before = upstream.counters()["calls"]
    probe(upstream.url)
    assert upstream.counters()["calls"] == before


@pytest.mark.parametrize("status", [400, 422, 429])
def test_server_without_a_list_of_models_has_no_fault(serve: Serve, status: int) -> None:
    probe(serve(NOWHERE, (status, JSON, b'{"error": {"message": "messages is too short"}}')))


@pytest.mark.parametrize(
    ("listed", "completed", "error", "detail"),
    [
        (NOWHERE, NOWHERE, errors.ModelUnavailable, "OPENAI_BASE_URL mostly ends in /v1"),
        ((200, HTML, b"<html>"), (200, HTML, b"<html>"), errors.ModelUnavailable, "OPENAI_BASE_URL mostly ends in"),
        ((401, JSON, b"{}"), NOWHERE, errors.UpstreamDenied, "status 401"),
        ((502, HTML, b"<html>"), NOWHERE, errors.UpstreamFailed, "status 502"),
        (
            NOWHERE,
            (404, JSON, b'{"error": {"code": "model_not_found", "message": "no such model"}}'),
            errors.ModelUnavailable,
            "'small-1' does not exist",
        ),
    ],
)
def test_faults_are_found(
    serve: Serve, listed: Answer, completed: Answer, error: type[errors.AdapterError], detail: str
) -> None:
    with pytest.raises(error, match=detail):
        probe(serve(listed, completed))


def test_server_that_is_not_there_cannot_be_reached() -> None:
    with pytest.raises(errors.UpstreamUnreachable):
        probe(f"http://127.0.0.1:{free_port()}/v1")
