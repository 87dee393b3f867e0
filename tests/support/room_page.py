"""The room part of the example page, as a visitor uses it."""

import re
from typing import Any

from playwright.sync_api import Locator, expect

from tests.support.processes import Server
from tests.support.visitor import PASSWORD, Visitor


class RoomPage:
    """A visitor in a room."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.page = visitor.page

    def create(self, name: str) -> str:
        """Make a room and open it; returns its id."""
        self.page.once("dialog", lambda dialog: dialog.accept(name))
        self.page.get_by_role("button", name="New room").press("Enter")
        self.await_open(name)
        return self.page.url.rpartition("/")[2]

    def await_open(self, name: str) -> None:
        expect(self.page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(self.page.get_by_label("Write to the room")).to_be_focused()

    def invite(self) -> str:
        """Return the link of a new invite."""
        with self.details() as panel:
            panel.get_by_role("button", name="Make an invite").click()
            expect(panel.get_by_label("Invite link")).to_have_value(re.compile("#join/"))
            return panel.get_by_label("Invite link").input_value()

    def details(self) -> "Details":
        return Details(self)

    def sign_up(self, name: str) -> None:
        """Sign up where a link has led to the page."""
        for label, text in (("E-mail", f"{name}@example.org"), ("Password", PASSWORD), ("Name, to sign up", name)):
            self.page.get_by_label(label, exact=True).fill(text)
        self.page.get_by_role("button", name="Sign up").click()

    def write(self, text: str) -> None:
        self.page.get_by_label("Write to the room").fill(text)
        self.page.get_by_label("Write to the room").press("Enter")

    def act(self, text: str, action: str) -> None:
        """Press a button of a message."""
        self.message(text).get_by_role("button", name=action, exact=True).click()

    def delete(self, text: str) -> None:
        self.page.once("dialog", lambda dialog: dialog.accept())
        self.act(text, "Delete")

    def message(self, text: str) -> Locator:
        """Return the message with a text, and not those that quote it."""
        return self.page.locator("#messages article").filter(has=self.page.locator(".text", has_text=text))

    def texts(self) -> Locator:
        """Return the texts of the messages that users wrote."""
        return self.page.locator("#messages [data-kind=message] .text")

    def rows(self) -> Locator:
        return self.page.locator("#rooms a")

    def notice(self) -> Locator:
        return self.page.get_by_role("status")

    def call(self, server: Server, path: str, method: str = "GET", body: Any = None) -> Any:
        return self.visitor.call(server, path, method, body)


class Details:
    """The open panel of a room, for the time of a block."""

    def __init__(self, room: RoomPage) -> None:
        self._page = room.page

    def __enter__(self) -> Locator:
        self._page.get_by_role("button", name="Details").click()
        return self._page.get_by_role("dialog", name="About this room")

    def __exit__(self, *_: object) -> None:
        self._page.keyboard.press("Escape")
        expect(self._page.get_by_role("dialog", name="About this room")).to_be_hidden()
