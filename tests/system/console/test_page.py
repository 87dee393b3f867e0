"""The console in a real browser: its session, its live view, and how well it can be read."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.console_page import Console
from tests.support.processes import Server
from tests.system.console.conftest import OpenConsole

pytestmark = pytest.mark.slow
Read = Callable[[str], Any]


def test_live_view_follows_the_server(service: Server, root: Console) -> None:
    expect(root.figure("Running turns")).to_have_text("0 of 2,048")
    token = service.sign_in("ned")
    service.call("POST", "/api/chat/", {"message": "[[slow 6]] hello"}, token, headers={"Prefer": "respond-async"})
    expect(root.figure("Running turns")).to_have_text("1 of 2,048")
    root.paint("live")
    expect(root.figure("Running turns")).to_have_text("0 of 2,048")
    expect(root.rows("Breakers")).to_contain_text(["closed"])
    expect(root.row("Health", "database")).to_contain_text("ok")


def test_health_is_read_again_and_again(root: Console) -> None:
    expect(root.row("Health", "jobs")).to_contain_text("ok")
    checks = {"database": "ok", "jobs": "none run in this process"}
    root.page.route("**/readyz", lambda route: route.fulfill(json={"status": "degraded", "checks": checks}))
    expect(root.row("Health", "jobs")).to_contain_text("none run in this process")


def test_session_outlives_a_reload_and_ends_with_sign_out(root: Console) -> None:
    void = "() => { const session = JSON.parse(sessionStorage['console-session']); session.access_token = 'x.y.z'; sessionStorage['console-session'] = JSON.stringify(session); }"
    root.page.evaluate(void)
    root.page.reload()
    for table in ("Users by their cost", "The newest rated answers", "Documents that you may read", "Accounts"):
        expect(root.rows(table).first).to_be_visible()
    expect(root.figure("Running turns")).to_contain_text("of")
    expect(root.figure("Turns")).not_to_be_empty()
    assert [one for one in root.alarms if "401" not in one] == []
    root.alarms.clear()  # the refusals
    root.page.get_by_role("button", name="Sign out").click()
    expect(root.page.get_by_role("status").first).to_have_text("You are signed out.")
    expect(root.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert root.page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert root.page.locator("tbody tr").count() == 0


def test_console_is_for_administrators(open_console: OpenConsole) -> None:
    console = open_console()
    console.sign_in("ada")
    expect(console.page.get_by_role("status").first).to_have_text("This account is not an administrator's.")
    expect(console.page.get_by_role("heading", name="Usage")).to_be_hidden()
    assert not any("/api/analytics/" in one.url for one in console.requests)
    assert console.page.evaluate("sessionStorage.length") == 0
    password = console.page.get_by_role("textbox", name="Password")
    password.fill("a wrong passphrase")
    password.press("Enter")
    expect(console.page.get_by_role("status").first).not_to_contain_text("administrator")
    assert [one for one in console.alarms if "401" not in one] == []
    console.alarms.clear()  # the refusal


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_readable_in_both_schemes(open_console: OpenConsole, scheme: str) -> None:
    console = open_console(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    console.sign_in("root")
    expect(console.figure("Running turns")).to_contain_text("of")
    console.paint(scheme)
    for selector in ("body", ".hint", "nav a", "#usage-chart li"):
        assert contrast(*console.read_colors(selector)) >= 4.5, selector  # WCAG 2.2, 1.4.3


def contrast(one: str, other: str) -> float:
    """Return the ratio of contrast of two CSS colors (WCAG 2.2, relative luminance)."""
    lights = sorted(map(luminance, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_control_and_table_has_a_name(root: Console) -> None:
    """Users of screen readers find a control by its name alone."""
    root.rows("Users by their cost").filter(has_text="ada").wait_for()
    script = """() => [...document.querySelectorAll("button, input, select, table, meter, dialog, [role=application]")]
        .filter((one) => !(one.labels?.length || one.ariaLabel || one.getAttribute("aria-labelledby")
            || one.caption?.textContent || (one.matches("button") && one.textContent.trim())))
        .map((one) => one.outerHTML)"""
    assert root.page.evaluate(script) == []
    levels = root.page.evaluate(
        "[...document.querySelectorAll('h1, h2')].filter((one) => one.checkVisibility()).map((one) => one.tagName)"
    )
    assert levels[0] == "H1"
    assert set(levels[1:]) == {"H2"}


def test_policy_refuses_foreign_code_and_texts_as_html(root: Console) -> None:
    root.page.evaluate(
        "() => new Promise((done) => { const image = new Image(); image.onerror = done; image.src = '//localhost:1/x'; })"
    )
    assert [one for one in root.alarms if "Content Security Policy" not in one] == []
    assert len(root.alarms) == 1
    with pytest.raises(Exception, match="TrustedHTML"):
        root.page.evaluate("() => { document.body.innerHTML = '<b>text</b>'; }")
    assert root.page.locator("b").count() == 0
    assert [one.failure for one in root.requests if one.url.endswith("localhost:1/x")] == ["csp"]
    root.requests[:] = [one for one in root.requests if not one.url.endswith("localhost:1/x")]
    root.alarms.clear()  # the refusals
