"""Fixtures of the example page's tests: a server that serves it, and visitors in a real browser."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.browser import open_browser
from tests.support.processes import Server, Upstream, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.visitor import Visit, Visitor


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def pen() -> Iterator[Upstream]:
    """Run an upstream that writes for about four seconds."""
    upstream = Upstream("--interval", "0.05", "--tokens", "80")
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, pen: Upstream, browser: "Browser") -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("demo"), OPENAI_BASE_URL=pen.url, OPENAI_API_KEY="sk-canary") as server:
        yield server


@pytest.fixture
def visit(browser: "Browser", demo: Server) -> "Iterator[Visit]":
    """Return a factory of visitors; none has met an error, a foreign host, or a text that ran."""
    from tests.support.visitor import Visitor  # other tests of this folder need no playwright

    visitors: list[Visitor] = []

    def open_page(address: str = "") -> "Visitor":
        visitors.append(Visitor(browser.new_context(), address or f"http://127.0.0.1:{demo.port}/demo/"))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.context.close()
    assert [alarm for visitor in visitors for alarm in visitor.alarms] == []
    hosts = {urlsplit(one.url).hostname for visitor in visitors for one in visitor.requests}
    assert hosts - {None} <= {"127.0.0.1", "localhost"}
