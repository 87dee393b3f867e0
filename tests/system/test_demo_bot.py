"""The bot of a room on the example page: answers for all, for the asker alone, and their ends."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.support.processes import Server
from tests.support.room_page import RoomPage
from tests.support.visitor import Visit
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

HOURS = "The library is open from nine to five on weekdays. On Sundays it is closed."
SECRET = "The library is open on weekdays until ten for its staff alone."
QUESTION = "When is the library open on weekdays?"


@pytest.fixture
def pair(demo: Server, visit: Visit, request: pytest.FixtureRequest) -> Iterator[tuple[RoomPage, RoomPage]]:
    """Return an owner with a shared and a private document, and a member of their room."""
    name = request.node.name.removeprefix("test_")[:20]
    owner = visit()
    owner.join(f"{name}-1")
    upload(owner_page := RoomPage(owner), demo, "Opening hours", HOURS, visibility="shared")
    upload(owner_page, demo, "Staff", SECRET, visibility="private")
    owner_page.create("Library")
    other = visit()
    other.join(f"{name}-2")
    other_page = RoomPage(other)
    other_page.page.goto(owner_page.invite())
    other_page.await_open("Library")
    return owner_page, other_page


def upload(page: RoomPage, demo: Server, title: str, text: str, *, visibility: str) -> None:
    """Add a document to a collection of its own."""
    collection = page.call(demo, "/api/collections/", "POST", {"name": title, "visibility": visibility})
    body = {"title": title, "text": text, "collection_id": collection["id"]}
    document = page.call(demo, "/api/documents/", "POST", body)["id"]
    wait_for(lambda: page.call(demo, f"/api/documents/{document}/")["status"] == "ready")


def answer(page: RoomPage) -> Locator:
    """Return the newest answer of the bot."""
    return page.page.locator("#messages [data-kind=bot]").last


def test_answer_is_streamed_to_all_with_citations_that_open(demo: Server, pair: tuple[RoomPage, RoomPage]) -> None:
    owner, other = pair
    owner.write(f"@bot {QUESTION}")
    for page in pair:
        expect(answer(page).locator(".text")).to_contain_text("w30")
        expect(answer(page)).to_have_attribute("aria-busy", "true")
    other.page.reload()
    for page in pair:
        expect(answer(page)).to_have_attribute("aria-busy", "false")
        expect(answer(page).locator(".author")).to_have_text("Bot")
        expect(answer(page).locator(".state")).to_contain_text(
            "for all 2 members · from 1 collection that they all may"
        )
        answer(page).locator(".citations button").first.press("Enter")
        panel = page.page.get_by_role("dialog", name="Opening hours")
        expect(panel.locator("blockquote")).to_have_text("The library is open from nine to five on weekdays.")
        page.page.keyboard.press("Escape")
        expect(answer(page).locator(".citations button").first).to_be_focused()
    room_id = owner.page.url.rpartition("/")[2]
    stored = owner.call(demo, f"/api/rooms/{room_id}/messages/")["items"][-1]
    for page in pair:
        expect(answer(page).locator(".text")).to_have_text(stored["text"])
    expect(answer(owner).locator(".state")).to_contain_text("1 passage left out, since not all of them may read those")
    expect(answer(other).locator(".state")).not_to_contain_text("left out")
    assert "staff" not in stored["text"]


def test_restart_ends_an_answer_as_it_is_stored(demo: Server, pair: tuple[RoomPage, RoomPage]) -> None:
    owner, _ = pair
    owner.write("@bot Tell us a story")
    for page in pair:
        expect(answer(page).locator(".text")).to_contain_text("w20")
    demo.kill()
    owner.write("Is it still there?")
    demo.start()
    for page in pair:
        expect(page.message("Is it still there?")).to_have_count(1)
        expect(answer(page).locator(".state")).to_contain_text("interrupted")
        expect(answer(page)).to_have_attribute("aria-busy", "false")
    room_id = owner.page.url.rpartition("/")[2]
    stored = owner.call(demo, f"/api/rooms/{room_id}/messages/")["items"]
    (text,) = [one["text"] for one in stored if one["kind"] == "bot"]
    for page in pair:
        expect(answer(page).locator(".text")).to_have_text(text)
        assert [one["seq"] for one in stored] == page.page.evaluate(
            "[...document.querySelectorAll('#messages article')].map(({ seq }) => seq)"
        )


def test_question_in_private_is_seen_by_its_asker_alone(demo: Server, pair: tuple[RoomPage, RoomPage]) -> None:
    owner, other = pair
    owner.write(f"@bot! {QUESTION}")
    expect(answer(owner).locator(".state")).to_contain_text("only you can see this")
    expect(answer(owner)).to_have_attribute("aria-busy", "false")
    owner.write("Thank you all")
    expect(other.texts()).to_have_text(["Thank you all"])
    expect(answer(other)).to_have_count(0)


def test_asker_and_owner_stop_an_answer(demo: Server, pair: tuple[RoomPage, RoomPage]) -> None:
    owner, other = pair
    for count, (asker, stopper) in enumerate([(other, other), (other, owner), (owner, owner)], 1):
        asker.write("@bot Tell us a story")
        for page in pair:
            expect(page.page.locator("#messages [data-kind=bot]")).to_have_count(count)
            expect(answer(page).locator(".text")).to_contain_text("w5")
        expect(answer(other).get_by_role("button", name="Stop", exact=True)).to_be_visible(visible=asker is other)
        answer(stopper).get_by_role("button", name="Stop", exact=True).click()
        for page in pair:
            expect(answer(page).locator(".state")).to_contain_text("cancelled")
            expect(answer(page).get_by_role("button", name="Stop", exact=True)).to_be_hidden()
