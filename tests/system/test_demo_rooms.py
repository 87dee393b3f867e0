"""Rooms on the example page: browsers and a client in Python talk, against a real server."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.support.browser import serving
from tests.support.processes import ROOT, Server
from tests.support.room_page import RoomPage
from tests.support.sockets import Member
from tests.support.visitor import CANARY, Visit
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

Enter = Callable[[str], RoomPage]


@pytest.fixture
def enter(visit: Visit) -> Enter:
    """Return a factory of visitors with an account."""

    def open_page(name: str) -> RoomPage:
        visitor = visit()
        visitor.join(name)
        return RoomPage(visitor)

    return open_page


def test_two_browsers_and_a_client_in_python_talk(demo: Server, visit: Visit, enter: Enter) -> None:
    ada = enter("ada")
    room_id = ada.create("Lake")
    link = ada.invite()
    eve = RoomPage(visit(link))
    eve.sign_up("eve")
    eve.await_open("Lake")
    pat = Member(demo, "pat")
    pat.call("POST", "/api/rooms/join/", {"token": link.rpartition("/")[2]})
    with pat.connect() as client:
        client.call("join", room_id=room_id)
        ada.write("Who brings the boat, @eve?")
        expect(eve.texts()).to_have_text(["Who brings the boat, @eve?"])
        eve.write("I do: Grüße 🦊")
        client.call("message", room_id=room_id, text="And I the oars")
        for page in (ada, eve):
            expect(page.texts()).to_have_text(["Who brings the boat, @eve?", "I do: Grüße 🦊", "And I the oars"])
        expect(eve.message("boat").locator(".state")).to_have_text("mentions you")
        eve.act("I do", "Edit")
        eve.write("I do not")
        expect(ada.message("I do not").locator(".state")).to_have_text("edited")
        ada.act("oars", "Reply")
        ada.write("Thank you")
        expect(eve.message("Thank you").locator(".quoted")).to_have_text(f"In reply to {pat.name}: And I the oars")
        ada.delete("oars")
        expect(eve.page.locator("#messages .state").filter(has_text="deleted")).to_have_count(1)
        expect(eve.message("Thank you").locator(".quoted")).to_have_text("In reply to a deleted message")
        expect(eve.message("Thank you").get_by_role("button", name="Edit", exact=True)).to_be_hidden()
        expect(eve.message("Thank you").get_by_role("button", name="Delete", exact=True)).to_be_hidden()
        wait_for(lambda: len(client.texts()) == 4)
        assert client.texts() == ["Who brings the boat, @eve?", "I do: Grüße 🦊", "And I the oars", "Thank you"]
        assert [data["data"]["text"] for name, data in client.events if name == "changed"] == ["I do not", ""]
    stored = ada.call(demo, f"/api/rooms/{room_id}/messages/")["items"]
    for page in (ada, eve):
        shown = [one["text"] for one in stored if one["kind"] == "message"]
        expect(page.texts()).to_have_text(shown)
        assert [one["seq"] for one in stored] == page.page.evaluate(
            "[...document.querySelectorAll('#messages article')].map(({ seq }) => seq)"
        )


def test_messages_are_unread_until_their_room_is_opened(demo: Server, enter: Enter) -> None:
    uma = enter("uma")
    lake = uma.create("Lake")
    token = uma.invite().rpartition("/")[2]
    uma.create("Hill")
    expect(uma.rows()).to_have_text(["Hill", "Lake"])
    kim = Member(demo, "kim")
    kim.call("POST", "/api/rooms/join/", {"token": token})
    kim.call("POST", f"/api/rooms/{lake}/messages/", {"text": "Frogs"})
    expect(uma.rows()).to_have_text(["Lake · 2 unread", "Hill"])
    uma.rows().first.press("Enter")
    expect(uma.texts()).to_have_text(["Frogs"])
    expect(uma.rows()).to_have_text(["Lake", "Hill"])
    wait_for(lambda: uma.call(demo, f"/api/rooms/{lake}/")["unread"] == 0)
    uma.page.get_by_role("link", name="New conversation").click()
    expect(uma.page.get_by_label("Message")).to_be_focused()
    kim.call("POST", f"/api/rooms/{lake}/messages/", {"text": "Toads"})
    expect(uma.rows()).to_have_text(["Lake · 1 unread", "Hill"])


def test_nothing_is_missed_or_doubled_offline(demo: Server, enter: Enter) -> None:
    tim = enter("tim")
    room_id = tim.create("Lake")
    kim = Member(demo, "kim")
    kim.call("POST", "/api/rooms/join/", {"token": tim.invite().rpartition("/")[2]})
    first = kim.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "first"})
    gone = kim.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "gone"})
    expect(tim.texts()).to_have_text(["first", "gone"])
    tim.visitor.context.set_offline(True)
    for number in range(2, 5):
        kim.call("POST", f"/api/rooms/{room_id}/messages/", {"text": str(number)})
    kim.call("PATCH", f"/api/rooms/{room_id}/messages/{first['id']}/", {"text": "First"})
    kim.call("DELETE", f"/api/rooms/{room_id}/messages/{gone['id']}/")
    tim.write("from the train")
    tim.write("and again")
    expect(tim.page.locator(".draft")).to_have_count(2)
    expect(tim.page.locator(".draft").first).to_contain_text("The server cannot be reached.")
    tim.visitor.context.set_offline(False)
    expect(tim.texts()).to_have_text(["First", "", "2", "3", "4", "from the train", "and again"])
    expect(tim.page.locator(".draft")).to_have_count(0)
    texts = [one["text"] for one in kim.call("GET", f"/api/rooms/{room_id}/messages/")["items"][1:]]
    expect(tim.texts()).to_have_text(texts)


def test_room_is_written_to_before_its_messages_are_there(enter: Enter) -> None:
    ida = enter("ida")
    ida.create("Lake")
    ida.write("first")
    expect(ida.texts()).to_have_text(["first"])
    ida.page.get_by_role("link", name="New conversation").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    ida.page.route(re.compile(r"/messages/\?limit="), hold)
    ida.rows().first.click()
    ida.await_open("Lake")
    ida.write("second")
    expect(ida.texts()).to_have_text(["second"])
    (route,) = held
    route.continue_()
    expect(ida.texts()).to_have_text(["first", "second"])


def test_nobody_misses_a_line_while_the_server_starts_again(demo: Server, enter: Enter) -> None:
    zoe = enter("zoe")
    room_id = zoe.create("Lake")
    link = zoe.invite()
    bob = enter("bob")
    bob.page.goto(link)
    bob.await_open("Lake")
    zoe.write("before")
    expect(bob.texts()).to_have_text(["before"])
    for stop in (demo.stop, demo.kill):
        stop()
        zoe.write(f"zoe, {stop.__name__}")
        bob.write(f"bob, {stop.__name__}")
        expect(zoe.page.locator(".draft")).to_have_count(1)
        demo.start()
        for page in (zoe, bob):
            expect(page.message(f"zoe, {stop.__name__}")).to_have_count(1)
            expect(page.message(f"bob, {stop.__name__}")).to_have_count(1)
            expect(page.page.locator(".draft")).to_have_count(0)
    texts = [one["text"] for one in zoe.call(demo, f"/api/rooms/{room_id}/messages/")["items"][1:]]
    assert sorted(texts) == sorted(["before", "zoe, stop", "bob, stop", "zoe, kill", "bob, kill"])
    for page in (zoe, bob):
        expect(page.texts()).to_have_text(texts)


def test_owner_changes_roles_and_removes_a_member(demo: Server, enter: Enter) -> None:
    amy = enter("amy")
    amy.create("Lake")
    ben = enter("ben")
    ben.page.get_by_label("Invite", exact=True).fill(amy.invite())
    ben.page.get_by_role("button", name="Join").click()
    ben.await_open("Lake")
    with amy.details() as panel:
        expect(panel.get_by_role("listitem")).to_have_count(2)
        panel.get_by_label("Role of ben").select_option("reader")
        expect(ben.page.get_by_label("Write to the room")).to_be_hidden()
        panel.get_by_label("Role of ben").select_option("member")
        expect(ben.page.get_by_label("Write to the room")).to_be_visible()
    ben.write("Hello")
    expect(amy.texts()).to_have_text(["Hello"])
    with ben.details() as panel:
        expect(panel.get_by_role("listitem")).to_have_count(2)
        for name in ("Save", "Make an invite", "Delete room", "Remove amy"):
            expect(panel.get_by_role("button", name=name)).to_be_hidden()
        expect(panel.get_by_label("Topic")).to_be_disabled()
    with amy.details() as panel:
        panel.get_by_label("Topic").fill("Frogs")
        panel.get_by_role("button", name="Save").click()
    expect(ben.page.locator("#topic")).to_have_text("Frogs")
    with amy.details() as panel:
        amy.page.once("dialog", lambda dialog: dialog.accept())
        panel.get_by_role("button", name="Remove ben").click()
        expect(panel.get_by_role("listitem")).to_have_count(1)
    expect(ben.notice()).to_have_text("You are no member of “Lake” any more.")
    expect(ben.rows()).to_have_count(0)
    expect(ben.page.locator("#messages article")).to_have_count(0)
    expect(ben.page.get_by_label("Message")).to_be_visible()


def test_older_messages_and_turns_are_loaded(demo: Server, enter: Enter) -> None:
    lea = enter("lea")
    room_id = lea.create("Lake")
    for number in range(70):
        lea.call(demo, f"/api/rooms/{room_id}/messages/", "POST", {"text": f"m{number}"})
    first = lea.call(demo, f"/api/rooms/{room_id}/messages/?since_seq=0&limit=1")["items"][0]["id"]
    lea.call(demo, f"/api/rooms/{room_id}/messages/", "POST", {"text": "m70", "reply_to": first})
    lea.page.reload()
    expect(lea.texts()).to_have_text([f"m{number}" for number in range(21, 71)])
    expect(lea.message("m70").locator(".quoted")).to_have_text("In reply to an older message")
    lea.page.get_by_role("button", name="Load older").press("Enter")
    expect(lea.texts()).to_have_text([f"m{number}" for number in range(71)])
    expect(lea.message("m70").locator(".quoted")).to_have_text("In reply to lea: m0")
    lea.message("m70").locator(".quoted").press("Enter")
    expect(lea.page.locator("#messages article").first).to_be_focused()
    expect(lea.page.get_by_role("button", name="Load older")).to_be_hidden()
    lea.page.route(
        "**/api/chat-history/**", lambda route: route.continue_(url=route.request.url.replace("limit=50", "limit=2"))
    )
    turn = lea.call(demo, "/api/chat/", "POST", {"message": "1"})
    for number in range(2, 6):
        body = {"message": str(number), "conversation_id": turn["conversation_id"]}
        lea.call(demo, "/api/chat/", "POST", body)
    lea.page.goto(f"{lea.visitor.address}#{turn['conversation_id']}")
    expect(lea.page.locator(".message")).to_have_text(["4", "5"])
    for shown in (["2", "3", "4", "5"], ["1", "2", "3", "4", "5"]):
        lea.page.get_by_role("button", name="Load older").click()
        expect(lea.page.locator(".message")).to_have_text(shown)
    expect(lea.page.get_by_role("button", name="Load older")).to_be_hidden()


def test_texts_of_rooms_are_never_html(enter: Enter) -> None:
    mal = enter("mal")
    mal.create(CANARY)
    mal.page.evaluate(f"window.confirm = () => {json.dumps(CANARY)}")
    mal.write(CANARY)
    expect(mal.texts()).to_have_text([CANARY])
    mal.act("onerror", "Reply")
    mal.write(f"{CANARY} again")
    expect(mal.message("again").locator(".quoted")).to_contain_text("<img src=x")
    with mal.details() as panel:
        panel.get_by_label("Topic").fill(CANARY)
        panel.get_by_role("button", name="Save").click()
    expect(mal.page.locator("#topic")).to_have_text(CANARY)
    assert mal.page.locator("main img, main script, nav img").count() == 0


def test_two_devices_of_a_user_stay_in_step(demo: Server, visit: Visit, enter: Enter) -> None:
    here = enter("sam")
    room_id = here.create("Lake")
    kim = Member(demo, "kim")
    kim.call("POST", "/api/rooms/join/", {"token": here.invite().rpartition("/")[2]})
    there = RoomPage(visit())
    there.visitor.log_in("sam")
    expect(there.rows()).to_have_text(["Lake"])
    here.page.get_by_role("link", name="New conversation").click()
    kim.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "Frogs"})
    for page in (here, there):
        expect(page.rows()).to_have_text(["Lake · 1 unread"])
    here.rows().first.click()
    expect(there.rows()).to_have_text(["Lake"])
    with here.details() as panel:
        panel.get_by_label("Room name").fill("Lakes")
        panel.get_by_role("button", name="Save").click()
    expect(there.rows()).to_have_text(["Lakes"])
    with here.details() as panel:
        here.page.once("dialog", lambda dialog: dialog.accept())
        panel.get_by_role("button", name="Delete room").click()
        expect(here.notice()).to_have_text("You are no member of “Lakes” any more.")
    for page in (here, there):
        expect(page.rows()).to_have_count(0)


def test_feed_goes_on_in_a_room_when_a_turn_is_deleted(demo: Server, enter: Enter) -> None:
    page = enter("max")
    page.create("Lake")
    turn = page.call(demo, "/api/chat/", "POST", {"message": "Hi"})
    page.call(demo, f"/api/chat-history/{turn['id']}/", "DELETE")
    page.call(demo, "/api/rooms/", "POST", {"name": "Pier"})
    expect(page.rows()).to_have_text(["Pier", "Lake"])


def test_rooms_work_from_another_origin(demo: Server, visit: Visit) -> None:
    with serving(ROOT / "examples" / "web") as port:
        visitor = visit(f"http://localhost:{port}/?api=http://127.0.0.1:{demo.port}")
        visitor.join("pam")
        pam = RoomPage(visitor)
        room_id = pam.create("Lake")
        assert pam.invite().startswith(f"http://localhost:{port}/?api=http://127.0.0.1:{demo.port}#join/")
        kim = Member(demo, "kim")
        kim.call("POST", "/api/rooms/join/", {"token": pam.invite().rpartition("/")[2]})
        kim.call("POST", f"/api/rooms/{room_id}/messages/", {"text": "Frogs"})
        expect(pam.texts()).to_have_text(["Frogs"])
        wait_for(lambda: pam.call(demo, f"/api/rooms/{room_id}/")["unread"] == 0)
        pam.write("Toads")
        pam.act("Toads", "Edit")
        pam.write("Newts")
        expect(pam.texts()).to_have_text(["Frogs", "Newts"])
        pam.delete("Newts")
        expect(pam.texts()).to_have_text(["Frogs", ""])
