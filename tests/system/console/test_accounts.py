"""Documents and accounts of the console, in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.support.console_page import Console
from tests.support.processes import Server
from tests.support.waiting import wait_for
from tests.system.console.conftest import CANARY

pytestmark = pytest.mark.slow
Read = Callable[[str], Any]


def test_documents_show_their_state_and_are_tried_again(service: Server, root: Console) -> None:
    account = {"email": "root@example.org", "password": "a sound passphrase"}
    token = service.call("POST", "/api/users/login/", account)[2]["access_token"]
    for body in ({"title": CANARY, "text": " "}, {"title": "Hours", "text": "The library opens at nine."}):
        assert service.call("POST", "/api/documents/", body, token)[0] == 202

    def count_ended() -> int:
        items = service.call("GET", "/api/documents/", None, token)[2]["items"]
        return sum(one["status"] in {"ready", "failed"} for one in items)

    wait_for(lambda: count_ended() == 2, 30)
    root.page.get_by_role("button", name="Refresh documents").click()
    expect(root.row("Documents that you may read", "Hours")).to_contain_text("ready")
    expect(root.row("Documents that you may read", CANARY)).to_contain_text("failed: ")
    root.paint("documents")
    root.page.get_by_label("State").select_option("failed")
    expect(root.rows("Documents that you may read")).to_have_count(1)
    with root.page.expect_response(lambda response: response.url.endswith("/retry/")) as answer:
        root.page.get_by_role("button", name=f"Retry {CANARY}").click()
    assert answer.value.status == 202
    expect(root.page.get_by_role("status").first).to_contain_text(f"{CANARY} is queued again.")
    assert root.page.locator("img").count() == 0


def test_accounts_are_disabled_and_their_roles_changed(service: Server, root: Console, read: Read) -> None:
    service.sign_in("mallory")
    root.page.on("dialog", lambda dialog: dialog.accept())
    root.page.get_by_label("Search accounts").fill("mallory")
    expect(root.rows("Accounts")).to_have_count(1)
    root.page.get_by_role("button", name="Disable mallory").press("Enter")
    expect(root.row("Accounts", "mallory")).to_contain_text("disabled")
    assert [one["username"] for one in read("/api/admin/users/?disabled=true")["items"]] == ["mallory"]
    expect(root.page.get_by_role("button", name="Enable mallory")).to_be_focused()
    root.page.get_by_role("button", name="Enable mallory").click()
    expect(root.row("Accounts", "mallory")).to_contain_text("enabled")
    root.page.get_by_label("Role of mallory").select_option("admin")
    expect(root.page.get_by_role("status").first).to_have_text("Make mallory admin: done.")
    expect(root.page.get_by_label("Role of mallory")).to_have_value("admin")
    root.page.get_by_label("Role of mallory").select_option("user")
    expect(root.page.get_by_role("status").first).to_have_text("Make mallory user: done.")


def test_budgets_are_set_changed_and_removed(service: Server, root: Console, read: Read) -> None:
    token = service.sign_in("trudy")
    assert service.call("POST", "/api/chat/", {"message": "Hens"}, token)[0] == 200

    def find_limits() -> list[tuple[str, str, int]]:
        (account,) = read("/api/admin/users/?q=trudy")["items"]
        return sorted((one["metric"], one["window"], one["limit"]) for one in account["budgets"])

    root.page.get_by_label("Search accounts").fill("trudy")
    expect(root.rows("Accounts")).to_have_count(1)
    opener = root.page.get_by_role("button", name="Budgets of trudy")
    dialog = root.page.get_by_role("dialog", name="Budgets of trudy")
    opener.press("Enter")
    dialog.get_by_label("At most").fill("7")
    dialog.get_by_role("button", name="Add").press("Enter")
    dialog.get_by_label("Kind").select_option("dollars")
    dialog.get_by_label("Window").select_option("a month")
    dialog.get_by_label("At most").fill("2.5")
    root.paint("budgets")
    dialog.get_by_role("button", name="Save").press("Enter")
    expect(root.page.get_by_role("status").first).to_have_text("Budgets of trudy: saved.")
    expect(dialog).to_be_hidden()
    assert find_limits() == [("micro_usd", "month", 2_500_000), ("turns", "day", 7)]
    assert service.call("POST", "/api/chat/", {"message": "Hens"}, token)[0] == 200
    root.page.get_by_label("Search accounts").fill("trud")
    expect(opener).to_contain_text("1 of 7 turns, a day")
    opener.click()
    dialog.get_by_role("button", name="Remove: dollars, a month").click()
    dialog.get_by_label("Limit: turns, a day").fill("0")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    assert find_limits() == [("turns", "day", 0)]
    assert service.call("POST", "/api/chat/", {"message": "Hens"}, token)[0] == 429
    opener.click()
    dialog.get_by_label("Limit: turns, a day").fill("9")
    dialog.get_by_role("button", name="Cancel").click()
    assert find_limits() == [("turns", "day", 0)]


def test_old_login_asks_for_the_password_before_a_change(service: Server, root: Console) -> None:
    def refuse(route: Route) -> None:
        problem = {"code": "reauthentication_required", "title": "Sign in again."}
        route.fulfill(status=403, json=problem, content_type="application/problem+json")

    service.sign_in("oscar")
    root.page.on("dialog", lambda dialog: dialog.accept())
    root.page.route("**/api/admin/users/*/", refuse, times=1)
    root.page.get_by_label("Search accounts").fill("oscar")
    expect(root.rows("Accounts")).to_have_count(1)
    root.page.get_by_role("button", name="Disable oscar").click()
    dialog = root.page.get_by_role("dialog", name="Confirm that it is you")
    dialog.get_by_label("Password").fill("a wrong passphrase")
    dialog.get_by_label("Password").press("Enter")
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    dialog.get_by_label("Password").fill("a sound passphrase")
    dialog.get_by_label("Password").press("Enter")
    expect(root.row("Accounts", "oscar")).to_contain_text("disabled")
    assert [one for one in root.alarms if "403" not in one and "401" not in one] == []
    root.alarms.clear()  # the refusals
