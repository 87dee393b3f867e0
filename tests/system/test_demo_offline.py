"""The example page without a network, and its messages."""

import pytest
from playwright.sync_api import expect

from tests.support.processes import Server
from tests.support.visitor import PASSWORD, Visit

pytestmark = pytest.mark.slow

UNREACHABLE = "The server cannot be reached."


def test_a_title_that_cannot_be_saved_is_offered_again(demo: Server, visit: Visit) -> None:
    amy = visit()
    amy.join("amy")
    amy.call(demo, "/api/conversations/", "POST", {"title": "Foxes"})
    with amy.page.expect_response("**/api/chat-history/**") as opened:
        amy.rows().first.click()
    opened.value.finished()
    amy.context.set_offline(True)
    amy.rename("Hens")
    expect(amy.page.get_by_role("status")).to_have_text(f"Not saved: {UNREACHABLE}")
    expect(amy.rows()).to_have_text(["Foxes"])
    amy.context.set_offline(False)
    amy.page.once("dialog", lambda dialog: dialog.accept(dialog.default_value))
    amy.page.get_by_role("button", name="Rename").click()
    expect(amy.rows()).to_have_text(["Hens"])
    amy.page.once("dialog", lambda dialog: dialog.accept(f"{dialog.default_value} and foxes"))
    amy.page.get_by_role("button", name="Rename").click()
    expect(amy.rows()).to_have_text(["Hens and foxes"])
    assert f"Not saved: {UNREACHABLE}" in amy.alarms
    amy.alarms.clear()


def test_a_conversation_that_was_opened_offline_comes_with_the_network(demo: Server, visit: Visit) -> None:
    ben = visit()
    ben.join("ben")
    ben.call(demo, "/api/chat/", "POST", {"message": "Foxes"})
    expect(ben.rows()).to_have_count(1)
    ben.context.set_offline(True)
    ben.rows().first.click()
    expect(ben.page.get_by_role("status")).to_have_text(UNREACHABLE)
    ben.context.set_offline(False)
    expect(ben.page.locator(".message")).to_have_text(["Foxes"])
    expect(ben.page.get_by_role("status")).to_have_text("")
    assert set(ben.alarms) == {UNREACHABLE}
    ben.alarms.clear()


def test_sign_up_names_the_field_that_is_missing(visit: Visit) -> None:
    cat = visit()
    cat.page.get_by_label("E-mail").fill("cat@example.org")
    cat.page.get_by_label("Password").fill(PASSWORD)
    cat.page.get_by_role("button", name="Sign up").click()
    expect(cat.page.get_by_role("status")).to_contain_text("username: ")
    cat.alarms.clear()  # the refusal
