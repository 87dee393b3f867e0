"""Fixtures of the console's tests: a server with users and turns, and consoles in a real browser."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import Server, Upstream, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.console_page import Console

CANARY = "<img src=x onerror=alert(1)>"
PICTURES = "CONSOLE_PICTURES"  # a folder for the screenshots of a run, else one of pytest's
OpenConsole = Callable[..., "Console"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ[PICTURES]) if PICTURES in os.environ else tmp_path_factory.mktemp("console-pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, browser: "Browser") -> Iterator[Server]:
    """Run a server with an administrator, root, and two users with turns of each kind."""
    settings = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-canary", "LLM_RETRIES": "0"}
    settings |= {"MODEL_PRICES": "gpt-3.5-turbo=1000/2000", "LLM_BREAKER_FAILURES": "1000"}
    with running(tmp_path_factory.mktemp("console"), **settings) as server:
        server.sign_in("root")
        server.flask("users", "promote", "root@example.org")
        ada = server.sign_in("ada")
        eve = server.sign_in("eve")
        collection = server.call("POST", "/api/collections/", {"name": "Zoo"}, ada)[2]["id"]
        for body in (
            {"message": CANARY, "grounding": "off"},
            {"message": "Where are the tapirs?", "collection_ids": [collection]},
            {"message": "[[cut]] and gone"},
        ):
            server.call("POST", "/api/chat/", body, ada)
        turn = server.call("POST", "/api/chat/", {"message": "Hens"}, eve)[2]
        server.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": -1}, eve)
        yield server


@pytest.fixture
def open_console(browser: "Browser", service: Server, pictures: Path) -> Iterator[OpenConsole]:
    """Return a factory of consoles; none has met an error, a violated policy, or a foreign host."""
    from tests.support.console_page import Console  # other tests of this folder need no playwright

    made: list[Console] = []

    def make(**options: Any) -> "Console":
        made.append(Console(browser, service, pictures, **options))
        return made[-1]

    yield make
    for console in made:
        console.context.close()
    assert [alarm for console in made for alarm in console.alarms] == []
    assert {host for console in made for host in console.list_hosts()} == {f"127.0.0.1:{service.port}"}


@pytest.fixture
def root(open_console: OpenConsole) -> "Console":
    """Return the console of an administrator with a session."""
    console = open_console()
    console.sign_in("root")
    console.page.get_by_role("heading", name="Usage").wait_for()
    return console


@pytest.fixture
def read(service: Server) -> Callable[[str], Any]:
    """Return a function that reads a route as the administrator."""
    account = {"email": "root@example.org", "password": "a sound passphrase"}
    token = service.call("POST", "/api/users/login/", account)[2]["access_token"]
    return lambda path: service.call("GET", path, None, token)[2]
