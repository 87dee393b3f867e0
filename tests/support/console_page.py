"""An administrator with a browser, on the console."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.support.processes import Server

PASSWORD = "a sound passphrase"
MAX_WAIT_MS = 30_000.0  # until something is shown, on a busy machine

expect.set_options(timeout=MAX_WAIT_MS)


class Console:
    """The page of an administrator, which notes requests and errors."""

    def __init__(self, browser: Browser, server: Server, pictures: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(MAX_WAIT_MS)
        self.page: Page = self.context.new_page()
        self.pictures = pictures
        self.requests: list[Request] = []
        self.alarms: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))  # it keeps a mark on its callee
        self.page.on("pageerror", lambda error: self.alarms.append(str(error)))
        self.page.on("console", lambda line: line.type in {"error", "warning"} and self.alarms.append(line.text))
        self.page.goto(f"http://127.0.0.1:{server.port}/console/")

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Sign in with the keyboard alone."""
        expect(self.page.get_by_label("E-mail address")).to_be_focused()
        self.page.keyboard.type(f"{name}@example.org")
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(password)
        self.page.keyboard.press("Enter")

    def figure(self, name: str) -> Locator:
        """Return the value of a figure by its name."""
        exact = self.page.locator("dt", has_text=re.compile(f"^{re.escape(name)}$"))
        return self.page.locator(".figures > div").filter(has=exact).locator("dd")

    def rows(self, table: str) -> Locator:
        """Return the rows of a table by its caption."""
        return self.page.get_by_role("table", name=table).locator("tbody tr")

    def row(self, table: str, text: str) -> Locator:
        return self.rows(table).filter(has_text=text)

    def chart(self, name: str) -> Locator:
        return self.page.get_by_role("application", name=name)

    def read_period(self) -> tuple[str, str]:
        """Return the ends of the period as they are shown."""
        form = self.page.get_by_role("form", name="Period")
        return form.get_by_label("From").input_value(), form.get_by_label("Until").input_value()

    def paint(self, name: str) -> bytes:
        """Keep a picture of the whole page; returns it."""
        return self.page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    def list_hosts(self) -> set[str]:
        """Return the hosts that were asked for anything."""
        addresses = [urlsplit(one.url) for one in self.requests]
        return {one.netloc for one in addresses if one.scheme != "data"}

    def read_colors(self, selector: str) -> tuple[str, str]:
        """Return the color of an element's text and that of the page."""
        script = """(element) => [getComputedStyle(element).color, getComputedStyle(document.body).backgroundColor]"""
        text, page = self.page.locator(selector).first.evaluate(script)
        return text, page
