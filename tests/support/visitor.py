"""A person with a browser, on the example page."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from tests.support.processes import Server

PASSWORD = "a sound passphrase"
NEWEST = "article:last-of-type"
CANARY = "<img src=x onerror=\"alert('canary')\"><script>alert('canary')</script>\"'<b>bold</b> javascript:alert(1)"
MAX_WAIT_MS = 30_000.0  # until something is shown: two polls and a busy machine

expect.set_options(timeout=MAX_WAIT_MS)


class Visitor:
    """A person in a browser of their own, which notes its requests and errors."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.context = context
        self.address = address
        self.requests: list[Request] = []
        self.alarms: list[str] = []
        self.page.set_default_timeout(MAX_WAIT_MS)
        self.page.on("request", lambda request: self.requests.append(request))  # it keeps a mark on what it calls
        self.page.on("pageerror", lambda error: self.alarms.append(str(error)))
        self.page.on("console", lambda line: "Content Security" in line.text and self.alarms.append(line.text))
        self.page.goto(address)

    def join(self, name: str) -> None:
        """Sign up with the keyboard alone."""
        self.page.get_by_label("E-mail").focus()
        for text in (f"{name}@example.org", PASSWORD, name):
            self.page.keyboard.type(text)
            self.page.keyboard.press("Tab")
        self.page.get_by_role("button", name="Sign up").press("Enter")
        expect(self.page.get_by_label("Message")).to_be_focused()

    def log_in(self, name: str) -> None:
        self.page.get_by_label("E-mail").fill(f"{name}@example.org")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("Password").press("Enter")
        expect(self.page.get_by_label("Message")).to_be_visible()

    def send(self, message: str) -> None:
        self.page.get_by_label("Message").fill(message)
        self.page.get_by_label("Message").press("Enter")

    def text(self) -> str:
        """Return the newest answer."""
        return self.page.locator(f"{NEWEST} .answer").evaluate("(element) => element.textContent")

    def await_text(self, words: str) -> None:
        expect(self.page.locator(f"{NEWEST} .answer")).to_contain_text(words)

    def await_end(self) -> str:
        """Wait for the end of the newest answer and return it; it was never replaced."""
        expect(self.page.locator(NEWEST)).to_have_attribute("aria-busy", "false")
        assert self.page.locator(NEWEST).get_attribute("data-replaced") is None
        return self.text()

    def upload(self, name: str, content: bytes) -> Locator:
        """Send a document; returns the list of those that were sent."""
        file = {"name": name, "mimeType": "text/plain", "buffer": content}
        self.page.get_by_label("Upload documents").set_input_files([file])
        return self.page.get_by_label("Documents", exact=True)

    def rename(self, title: str) -> None:
        self.page.once("dialog", lambda dialog: dialog.accept(title))
        self.page.get_by_role("button", name="Rename").click()

    def delete(self) -> None:
        self.page.once("dialog", lambda dialog: dialog.accept())
        self.page.get_by_role("button", name="Delete").click()

    def rows(self) -> Locator:
        return self.page.locator("#conversations a")

    def call(self, server: Server, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask the server with the page's token."""
        session = json.loads(self.page.evaluate("sessionStorage.getItem('session')"))
        return server.call(method, path, body, session["access_token"])[2]

    def resumed(self) -> list[int]:
        """Return the offsets at which the page went on reading."""
        found = [one.headers for one in self.requests if urlsplit(one.url).path.startswith("/api/chat/")]
        return [int(headers["last-event-id"]) for headers in found if "last-event-id" in headers]


Visit = Callable[..., Visitor]


def spoil(route: Route) -> None:
    """Put a text that wants to run wherever a model or a document may have written one."""
    response = route.fetch()
    turns = response.json()["items"]
    citation = {"marker": 1, "page": None, "start": 0, "end": 9, "stale": False, "answer_spans": [[0, 9]]}
    for turn in turns:
        turn |= {"bot_response": CANARY, "citations": [citation | {"title": CANARY, "quote": CANARY}]}
    route.fulfill(response=response, json={"items": turns, "next_cursor": None})
