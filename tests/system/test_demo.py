"""The example page in a real browser, against a real server and the scripted upstream."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.support.browser import serving
from tests.support.cable import Cable
from tests.support.processes import ROOT, Server
from tests.support.visitor import CANARY, NEWEST, Visit, spoil

pytestmark = pytest.mark.slow

TEXT = b"The library is open from nine to five on weekdays. On Sundays it is closed."


def test_a_conversation_from_sign_up_to_log_out(demo: Server, visit: Visit) -> None:
    ada = visit()
    ada.join("ada")
    ada.send("Fox 🦊, naïve 漢字")
    ada.await_text("w9")
    expect(ada.rows()).to_have_text(["Fox 🦊, naïve 漢字 · answering"])
    assert ada.await_end() == ada.call(demo, "/api/chat-history/")["items"][0]["bot_response"]
    ada.page.get_by_role("button", name="Regenerate").click()
    ada.await_text("w9")
    expect(ada.page.locator("article")).to_have_count(1)
    ada.await_end()
    assert len(ada.call(demo, "/api/chat-history/")["items"][0]["siblings"]) == 1
    ada.rename("Foxes")
    ada.page.get_by_role("button", name="Pin").click()
    expect(ada.rows()).to_have_text(["Foxes · pinned"])
    ada.page.get_by_role("link", name="New conversation").click()
    ada.send("Hens")
    ada.await_end()
    expect(ada.rows()).to_have_text(["Hens", "Foxes · pinned"])
    ada.page.get_by_role("link", name="Foxes").press("Enter")
    expect(ada.page.locator(".message")).to_have_text(["Fox 🦊, naïve 漢字"])
    ada.delete()
    expect(ada.rows()).to_have_text(["Hens"])
    expect(ada.page.locator("article")).to_have_count(0)
    ada.page.get_by_role("button", name="Log out").click()
    expect(ada.page.get_by_role("status")).to_have_text("You are logged out.")
    assert ada.page.evaluate("Object.values(sessionStorage).concat(Object.values(localStorage)).length") == 0


def test_an_answer_goes_on_after_a_reload(demo: Server, visit: Visit) -> None:
    eve = visit()
    eve.join("eve")
    eve.send("Tell 🦊 me")
    eve.await_text("w20")
    eve.page.reload()
    text = eve.await_end()
    turn = eve.call(demo, "/api/chat-history/")["items"][0]
    assert text == turn["bot_response"]
    assert turn["status"] == "completed"
    assert 0 < eve.resumed()[-1] < len(text)


def test_an_answer_goes_on_after_lost_connections(demo: Server, visit: Visit) -> None:
    with Cable(demo.port, lives=0) as cable:
        bob = visit(f"http://127.0.0.1:{cable.port}/demo/")
        bob.join("bob")
        bob.send("Warm up")
        bob.await_end()
    with Cable(demo.port, lives=6) as cable:
        bob.page.route(
            "**/api/chat/**",
            lambda route: route.continue_(
                url=route.request.url.replace(urlsplit(bob.address).netloc, f"127.0.0.1:{cable.port}")
            ),
        )
        bob.send("Tell me")
        text = bob.await_end()
        assert cable.cut > 1
    assert text == bob.call(demo, "/api/chat-history/?order=desc")["items"][0]["bot_response"]
    assert bob.resumed() == sorted(bob.resumed())


def test_stop_ends_the_answer(demo: Server, visit: Visit) -> None:
    sue = visit()
    sue.join("sue")
    sue.send("Tell me")
    sue.await_text("w5")
    sue.page.get_by_role("button", name="Stop").click()
    text = sue.await_end()
    turn = sue.call(demo, "/api/chat-history/")["items"][0]
    assert (turn["status"], turn["bot_response"]) == ("cancelled", text)
    expect(sue.page.locator(f"{NEWEST} .state")).to_have_text("cancelled")


def test_two_browsers_stay_in_step(demo: Server, visit: Visit) -> None:
    here = visit()
    here.join("tim")
    there = visit()
    there.log_in("tim")
    here.send("From here")
    expect(there.rows()).to_have_count(1)
    there.rows().first.click()
    here.await_end()
    there.await_text("w79")
    assert there.await_end() == here.text()
    there.context.set_offline(True)
    here.send("While you were away")
    here.await_end()
    here.rename("Renamed")
    expect(here.rows()).to_have_text(["Renamed"])
    there.context.set_offline(False)
    expect(there.page.locator("article")).to_have_count(2)
    expect(there.rows()).to_have_text(["Renamed"])
    assert there.await_end() == here.text()
    there.delete()
    expect(here.rows()).to_have_count(0)
    expect(here.page.locator("article")).to_have_count(0)


def test_changes_come_as_events_and_the_page_goes_on_at_its_cursor(demo: Server, visit: Visit) -> None:
    """The streams are made up here: each ends at once, and the page comes back for the next one."""
    kit = visit()
    streams: list[str] = []
    cursors: list[str | None] = []

    def stream(route: Route) -> None:
        cursors.append(route.request.headers.get("last-event-id"))
        route.fulfill(content_type="text/event-stream", body=streams.pop(0) if streams else ": all is well\n\n")

    kit.page.route("**/api/sync/events/", stream)
    kit.join("kit")
    made = {"id": "c", "title": "Elsewhere", "last_turn_at": None, "created_at": "2026-11-29T00:00:00Z"}
    streams.append(event("first", {"type": "conversation", "op": "upsert", "id": "c", "data": made}))
    expect(kit.rows()).to_have_text(["Elsewhere"])
    streams.append(
        event("second", {"type": "conversation", "op": "upsert", "id": "c", "data": made | {"pinned": True}})
    )
    expect(kit.rows()).to_have_text(["Elsewhere · pinned"])
    streams.append("id: third\nevent: reset\ndata: {}\n\n")
    expect(kit.rows()).to_have_count(0)
    with kit.page.expect_response("**/api/sync/events/"):
        pass
    assert list(dict.fromkeys(cursors)) == [None, "first", "second"]
    assert cursors[-1] is None


def test_an_answer_is_unread_until_its_conversation_is_opened(demo: Server, visit: Visit) -> None:
    una = visit()
    una.join("una")
    una.call(demo, "/api/chat/", "POST", {"message": "From elsewhere"})
    expect(una.rows()).to_have_text(["From elsewhere · unread"])
    with una.page.expect_response(lambda response: response.request.method == "PATCH"):
        una.rows().first.click()
    expect(una.rows()).to_have_text(["From elsewhere"])
    una.page.get_by_role("link", name="New conversation").click()
    expect(una.page.locator("article")).to_have_count(0)
    expect(una.rows()).to_have_text(["From elsewhere"])
    assert una.call(demo, "/api/conversations/")["items"][0]["unread"] is False


def test_search_lists_the_conversations_that_are_found(demo: Server, visit: Visit) -> None:
    uma = visit()
    uma.join("uma")
    found = [uma.call(demo, "/api/conversations/", "POST", {"title": title}) for title in ("Foxes", "Hens")]
    expect(uma.rows()).to_have_text(["Hens", "Foxes"])

    def search(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)["q"]
        route.fulfill(json={"items": [one for one in found if one["title"] in query], "next_cursor": None})

    uma.page.route(re.compile(r"/api/conversations/\?.*\bq="), search)
    uma.page.reload()
    uma.page.get_by_label("Search").fill("Foxes")
    expect(uma.rows()).to_have_text(["Foxes"])
    uma.page.get_by_label("Search").fill("")
    expect(uma.rows()).to_have_text(["Hens", "Foxes"])


def event(cursor: str, change: dict[str, Any]) -> str:
    return f"id: {cursor}\nevent: change\ndata: {json.dumps(change)}\n\n"


def test_documents_are_uploaded_and_their_citations_open(demo: Server, visit: Visit) -> None:
    kim = visit()
    kim.join("kim")
    documents = kim.upload("Opening hours.txt", TEXT)
    expect(documents).to_have_text("Opening hours.txt: ready, 100 %")
    kim.send("When is the library open on weekdays?")
    kim.await_end()
    kim.page.locator(f"{NEWEST} .citations button").first.press("Enter")
    panel = kim.page.get_by_role("dialog", name="Opening hours")
    expect(panel.locator("blockquote")).to_have_text("The library is open from nine to five on weekdays.")
    marked = kim.page.evaluate(
        "[...CSS.highlights.get('cited')].map((range) => range.startContainer.data.slice(range.startOffset, range.endOffset))"
    )
    (citation, *_) = kim.call(demo, "/api/chat-history/")["items"][0]["citations"]
    assert marked == [kim.text()[start:end] for start, end in citation["answer_spans"]]
    kim.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(kim.page.locator(f"{NEWEST} .citations button").first).to_be_focused()
    kim.upload("x.exe", b"MZ\0\0")
    expect(documents).to_contain_text("x.exe: ")
    expect(documents).not_to_contain_text("x.exe: uploading")


def test_texts_are_never_html(demo: Server, visit: Visit) -> None:
    """The canary is put into the server's responses, since its output filter would remove it from an answer."""
    mal = visit()
    mal.page.on("dialog", lambda dialog: mal.alarms.append(dialog.message) or dialog.dismiss())
    mal.join("mal")
    documents = mal.upload(f"{CANARY.replace('/', '')}.txt", TEXT)
    expect(documents).to_contain_text(".txt: ready")
    expect(documents).to_contain_text("<img src=x")
    mal.send(f"{CANARY} When is the library open on weekdays?")
    mal.await_end()
    mal.page.route("**/api/chat-history/**", spoil)
    mal.page.reload()
    expect(mal.page.locator(f"{NEWEST} .answer")).to_have_text(CANARY)
    expect(mal.page.locator(f"{NEWEST} .message")).to_contain_text(CANARY)
    mal.page.get_by_role("button", name=CANARY).click()
    expect(mal.page.get_by_role("heading", name=CANARY)).to_be_visible()
    expect(mal.page.get_by_role("blockquote")).to_have_text(CANARY)
    mal.page.keyboard.press("Escape")
    expect(mal.rows()).to_contain_text(["<img src=x"])
    mal.page.evaluate(f"window.prompt = () => {json.dumps(CANARY)}")
    mal.page.get_by_role("button", name="Rename").click()
    expect(mal.rows()).to_have_text([CANARY])
    assert mal.page.title() == CANARY
    assert mal.page.locator("img, b, script:not([src])").count() == 0


def test_a_page_of_another_origin_works_too(demo: Server, visit: Visit) -> None:
    with serving(ROOT / "examples" / "web") as port:
        pat = visit(f"http://localhost:{port}/?api=http://127.0.0.1:{demo.port}")
        assert pat.page.get_by_label("Server").input_value() == f"http://127.0.0.1:{demo.port}"
        pat.join("pat")
        pat.send("Tell me")
        pat.await_text("w5")
        pat.page.reload()
        assert pat.await_end() == pat.call(demo, "/api/chat-history/")["items"][0]["bot_response"]
        expect(pat.upload("Opening hours.txt", TEXT)).to_contain_text("ready")
        # Another server gets neither this session's tokens nor a request.
        pat.page.goto(f"http://localhost:{port}/?api=http://localhost:1")
        expect(pat.page.get_by_role("button", name="Log in")).to_be_visible()
        assert [one for one in pat.requests if urlsplit(one.url).port == 1] == []


def test_tokens_are_refreshed_and_a_session_that_ended_asks_for_the_password(demo: Server, visit: Visit) -> None:
    zoe = visit()
    zoe.join("zoe")
    zoe.send("Tell me")
    zoe.await_end()
    void = "(names) => { const session = JSON.parse(sessionStorage.session); names.forEach((name) => { session[name] = 'x.y.z'; }); sessionStorage.session = JSON.stringify(session); }"
    zoe.page.evaluate(void, ["access_token"])
    zoe.page.reload()
    expect(zoe.page.locator("article")).to_have_count(1)
    assert [urlsplit(one.url).path for one in zoe.requests].count("/api/users/refresh/") == 1
    zoe.page.evaluate(void, ["access_token", "refresh_token"])
    zoe.page.reload()
    expect(zoe.page.get_by_role("status")).to_have_text("Your session has ended; log in again.")
    zoe.alarms.clear()  # the refusals
    zoe.log_in("zoe")
    expect(zoe.page.locator("article")).to_have_count(1)
