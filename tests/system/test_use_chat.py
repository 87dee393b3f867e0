"""The AI SDK's `useChat` of npm, unpatched, in Chromium against a real server."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import NODE, bundle, open_browser, open_page
from tests.support.cable import Cable
from tests.support.processes import ROOT, Server, Upstream, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

BITE = 1_500  # bytes of a connection: of a head that is cut, Chromium takes the half for the whole
READY = "chat.status === 'ready' && chat.messages.at(-1)?.role === 'assistant'"
BEGUN = "chat.messages.at(-1)?.role === 'assistant' && textOf(chat.messages.at(-1)).length > 20"


class Chat:
    """A page with the hook, and the server behind it."""

    def __init__(self, browser: Any, script: str, server: Server, chat: str, port: int | None = None) -> None:
        self.server = server
        self.token = server.sign_in(chat)
        self._open = lambda messages: open_page(
            browser,
            port or server.port,
            script,
            {"api": "/api/ui/chat/", "id": chat, "token": self.token, "messages": messages},
        )
        self.page = self._open([])
        self.page.wait_for_load_state("networkidle")  # the hook has asked whether a turn runs

    def say(self, message: str) -> None:
        """Send a message, without waiting for its answer."""
        self.page.evaluate("text => void chat.sendMessage({ text })", message)

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(condition)

    def ask(self, message: str) -> None:
        self.say(message)
        self.wait(READY)

    @property
    def texts(self) -> list[str]:
        """The texts of all messages as the page shows them."""
        found: list[str] = self.page.evaluate("chat.messages.map(textOf)")
        return found

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of the last message."""
        found: list[dict[str, Any]] = self.page.evaluate("chat.messages.at(-1).parts")
        return found

    def reload(self) -> None:
        """Close the page and open it again, with the messages that the history has."""
        messages = [message for turn in self.turns() for message in as_messages(turn)]
        self.page.close()
        self.page = self._open(messages)

    def turns(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.call("GET", "/api/chat-history/", token=self.token)[2]["items"]
        return found

    def texts_of_history(self) -> list[str]:
        return [text for turn in self.turns() for text in (turn["user_message"], turn["bot_response"])]


def as_messages(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a turn as the guide shows it."""
    texts = {"user": turn["user_message"], "assistant": turn["bot_response"]}
    ids = {"user": f"{turn['id']}-user", "assistant": turn["id"]}
    return [{"id": ids[role], "role": role, "parts": [{"type": "text", "text": text}]} for role, text in texts.items()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def script(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return bundle(NODE / "use_chat.jsx", tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def slow() -> Iterator[Upstream]:
    """An upstream with answers that take 5 s."""
    upstream = Upstream("--interval", "0.025", "--tokens", "200")
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory, slow: Upstream) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("slow"), OPENAI_BASE_URL=slow.url) as server:
        yield server


def test_hook_sends_streams_and_goes_on(browser: Any, script: str, server: Server) -> None:
    chat = Chat(browser, script, server, "sends")
    chat.ask("Grüße \N{GRINNING FACE}")
    chat.ask("Again")
    assert chat.texts == chat.texts_of_history()
    assert chat.texts[0] == "Grüße \N{GRINNING FACE}"
    assert [part["type"] for part in chat.parts] == ["step-start", "text"]
    assert chat.page.evaluate("chat.messages.at(-1).metadata.status") == "completed"
    assert chat.page.evaluate("chat.messages.at(-1).id") == chat.turns()[-1]["id"]


def test_hook_regenerates(browser: Any, script: str, server: Server) -> None:
    chat = Chat(browser, script, server, "again")
    chat.ask("Hello")
    first = chat.turns()[-1]["id"]
    chat.page.evaluate("chat.regenerate()")
    chat.wait(READY)
    chat.page.evaluate("chat.regenerate({ messageId: chat.messages.at(-1).id })")
    chat.wait(READY)
    (turn,) = chat.turns()
    assert len(turn["siblings"]) == 2
    assert first in turn["siblings"]
    assert chat.page.evaluate("chat.messages.map(({ id }) => id)")[1:] == [turn["id"]]


def test_hook_shows_sources(browser: Any, script: str, server: Server) -> None:
    chat = Chat(browser, script, server, "sources")
    text = "The library is open from nine to five on weekdays."
    body = {"title": "Opening hours", "text": text}
    document = server.call("POST", "/api/documents/", body, chat.token)[2]["id"]
    wait_for(lambda: server.call("GET", f"/api/documents/{document}/", token=chat.token)[2]["status"] == "ready")
    chat.ask(text)
    (source,) = [part for part in chat.parts if part["type"] == "source-document"]
    assert source["title"] == "Opening hours"
    assert source["providerMetadata"]["chatbot"] == chat.turns()[-1]["citations"][0]
    assert source["providerMetadata"]["chatbot"]["quote"] == text


def test_hook_shows_errors_and_sends_again(browser: Any, script: str, server: Server) -> None:
    chat = Chat(browser, script, server, "errors")
    chat.say("[[cut]] Hello")
    chat.wait("chat.status === 'error'")
    (problem,) = [part["data"] for part in chat.parts if part["type"] == "data-problem"]
    assert problem["code"] == "upstream_incomplete"
    assert chat.page.evaluate("chat.error.message") == problem["detail"]
    assert chat.texts == chat.texts_of_history()
    chat.page.evaluate("void chat.regenerate()")
    chat.wait("chat.status === 'error'")
    assert len(chat.turns()[-1]["siblings"]) == 1
    refused = Chat(browser, script, server, "refused")
    refused.say("x" * 32_001)
    refused.wait("chat.status === 'error'")
    assert "messages.0.parts" in refused.page.evaluate("JSON.parse(chat.error.message).errors")


def test_stop_ends_the_call_of_the_model(browser: Any, script: str, slow_server: Server, slow: Upstream) -> None:
    chat = Chat(browser, script, slow_server, "stops")
    before = slow.counters()
    chat.say("Tell me")
    chat.wait(BEGUN)
    stopped = time.monotonic()
    assert chat.page.evaluate("stop().then(({ status }) => status)") == 202
    wait_for(lambda: slow.counters().get("left", 0) > before.get("left", 0), stopped + 2 - time.monotonic())
    chat.wait(READY)
    assert chat.texts == chat.texts_of_history()
    assert chat.turns()[-1]["status"] == "cancelled"
    chat.say("More")
    chat.wait(BEGUN)


def test_page_that_is_reloaded_goes_on(browser: Any, script: str, slow_server: Server) -> None:
    chat = Chat(browser, script, slow_server, "reloads")
    chat.say("Tell me")
    chat.wait(BEGUN)
    chat.reload()
    chat.wait("chat.status === 'streaming'")
    chat.wait(READY)
    assert chat.texts == chat.texts_of_history()
    assert chat.turns()[-1]["status"] == "completed"
    chat.reload()
    chat.wait(READY)
    assert chat.texts == chat.texts_of_history()


def test_ten_disconnects_lose_and_double_nothing(browser: Any, script: str, slow_server: Server) -> None:
    with Cable(slow_server.port, lives=10, bite=BITE) as cable:
        chat = Chat(browser, script, slow_server, "drops", cable.port)
        chat.say("Grüße \N{GRINNING FACE}")
        chat.wait(READY)
    assert cable.cut == 10
    assert chat.texts == chat.texts_of_history()
    assert chat.turns()[-1]["status"] == "completed"


def test_ten_disconnects_and_a_kill_show_the_text_that_is_stored(
    browser: Any, script: str, tmp_path: Path, slow: Upstream
) -> None:
    with (
        running(tmp_path, OPENAI_BASE_URL=slow.url) as server,
        Cable(server.port, lives=10, bite=BITE) as cable,
    ):
        chat = Chat(browser, script, server, "dies", cable.port)
        chat.say("Grüße \N{GRINNING FACE}")
        wait_for(lambda: cable.cut >= 10, 20)
        assert cable.cut == 10
        chat.wait(BEGUN)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        chat.wait("chat.status === 'error' && !(chat.error instanceof TypeError)")
        (turn,) = chat.turns()
        assert turn["status"] == "interrupted"
        assert chat.texts == chat.texts_of_history()
        assert [part["data"]["code"] for part in chat.parts if part["type"] == "data-problem"] == ["interrupted"]
        chat.page.evaluate("void chat.regenerate()")
        chat.wait("chat.status === 'ready'")
        assert chat.texts == chat.texts_of_history()
        assert chat.turns()[-1]["status"] == "completed"


def test_guide_runs_as_printed(browser: Any, slow_server: Server, tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/use-chat.md").read_text()
    page, prepare, *others = re.findall(r"^```jsx\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(page.splitlines()) == 10
    (tmp_path / "guide.jsx").write_text("\n".join([page, prepare, *others]))
    shutil.copy(NODE / "guide_page.jsx", tmp_path)
    script = bundle(tmp_path / "guide_page.jsx", tmp_path)
    settings = {"id": "guide", "token": slow_server.sign_in("guide")}
    opened = open_page(browser, slow_server.port, script, settings)
    opened.fill("input", "Tell me")
    opened.press("input", "Enter")
    begun = "document.querySelectorAll('p')[1]?.textContent.length > 50"
    opened.wait_for_function(begun)
    opened.reload()
    opened.wait_for_function(begun)

    def find_ended() -> dict[str, Any]:
        (turn,) = slow_server.call("GET", "/api/chat-history/", token=settings["token"])[2]["items"]
        return turn if turn["status"] not in {"pending", "streaming"} else {}

    turn = wait_for(find_ended, interval=0.05)
    expected = ["user: Tell me", f"assistant: {turn['bot_response']}"]
    opened.wait_for_function(f"document.querySelectorAll('p')[1].textContent.length >= {len(expected[1])}")
    assert opened.locator("p").all_text_contents() == expected
