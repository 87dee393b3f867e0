"""Reports of the console in a real browser, against a real server and the scripted upstream."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.support.console_page import Console
from tests.support.processes import Server
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow
Read = Callable[[str], Any]


def test_totals_are_those_of_the_command(service: Server, root: Console) -> None:
    _, *lines, total = service.flask("usage", "report", "--by", "model", "--bucket", "month").stdout.splitlines()
    for name, value in read_line(total).items():
        expect(root.figure(name)).to_have_text(value)
    assert [line.split("\t")[1] for line in lines] == ["gpt-3.5-turbo"]
    cells = [*read_line(lines[0]).values()]
    expect(root.row("Usage by model", "gpt-3.5-turbo").locator("td").nth(0)).to_have_text(cells[0])
    expect(root.row("Usage by model", "gpt-3.5-turbo").locator("td").nth(2)).to_have_text(cells[3])
    expect(root.rows("Users by their cost").locator("th")).to_have_text(["ada", "eve"])
    root.paint("usage")


def read_line(line: str) -> dict[str, str]:
    """Return the figures of a line of `flask usage report` as the console shows them."""
    turns, failed, cancelled, prompt, completion, dollars = line.split("\t")[2:]
    cost = f"${float(dollars):.4f}".rstrip("0")
    tokens = f"{int(prompt) + int(completion):,}"
    return {"Turns": turns, "Failed": failed, "Cancelled": cancelled, "Tokens": tokens, "Cost": cost}


def test_turn_behind_a_point_is_read_with_its_trace_for_a_reason(service: Server, root: Console, read: Read) -> None:
    """With the keyboard alone, from the newest bucket on."""
    before = root.read_period()
    turns = root.rows("Turns of the period, the newest first")
    expect(turns).to_have_count(4)
    root.chart("Usage over time").focus()
    root.page.keyboard.press("End")
    expect(root.page.locator("#usage-chart output")).to_contain_text("turns 4")
    root.page.keyboard.press("Enter")
    expect(root.page.locator("#turns")).to_be_focused()
    assert root.read_period() != before
    expect(turns).to_have_count(4)
    root.page.keyboard.press("Tab")
    expect(root.page.get_by_label("Status")).to_be_focused()
    root.page.keyboard.type("failed")
    expect(turns).to_have_count(1)
    expect(turns.locator("td").nth(2)).to_contain_text("upstream")
    root.page.keyboard.press("Tab")
    expect(turns.get_by_role("button")).to_be_focused()
    root.page.keyboard.press("Enter")
    dialog = root.page.get_by_role("dialog", name="A turn of a user")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    root.page.keyboard.type("Ticket 4711")
    root.page.keyboard.press("Enter")
    expect(dialog.locator(".text").first).to_have_text("[[cut]] and gone")
    expect(dialog.get_by_role("heading", name="Trace")).to_be_visible()
    root.paint("turn")
    root.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(turns.get_by_role("button")).to_be_focused()
    actions = [(one["action"], one["reason"]) for one in read("/api/admin/audit/")["items"][:2]]
    assert actions == [("trace_read", "Ticket 4711"), ("turn_read", "Ticket 4711")]
    root.page.get_by_role("button", name="Zoom out").click()
    expect(root.page.get_by_role("button", name="Zoom out")).to_be_disabled()
    assert root.read_period() == before


def test_questions_without_an_answer_and_ratings_lead_to_their_turns(root: Console) -> None:
    dialog = root.page.get_by_role("dialog", name="A turn of a user")
    for table, message in (
        ("The newest questions for which no passage was found", "Where are the tapirs?"),
        ("The newest rated answers", "Hens"),
    ):
        root.rows(table).get_by_role("button").click()
        dialog.get_by_label("Reason").fill("Looking after quality")
        dialog.get_by_role("button", name="Show the turn").click()
        expect(dialog.locator(".text").first).to_have_text(message)
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        assert dialog.locator(".text").count() == 0


def test_brush_zooms_in_and_the_keyboard_does_the_same(root: Console) -> None:
    root.rows("Users by their cost").filter(has_text="ada").wait_for()
    before = root.read_period()
    box = root.chart("Usage over time").locator(".u-over").bounding_box()
    assert box is not None
    mouse = root.page.mouse
    mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50, steps=5)
    mouse.up()
    expect(root.page.get_by_role("button", name="Zoom out")).to_be_enabled()
    by_mouse = root.read_period()
    assert before[0] < by_mouse[0] < by_mouse[1] < before[1]
    expect(root.figure("Turns")).to_have_text("0")
    root.chart("Usage over time").press("Escape")
    expect(root.page.get_by_role("button", name="Zoom out")).to_be_disabled()
    expect(root.figure("Turns")).to_have_text("4")
    root.chart("Usage over time").focus()
    for key in ("Home", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight"):
        root.page.keyboard.press(key)
    root.paint("selection")
    root.page.keyboard.press("Enter")
    expect(root.page.get_by_role("button", name="Zoom out")).to_be_enabled()
    start, end = (value.partition("T") for value in root.read_period())
    assert (start[2], end[2]) == ("00:00", "00:00")
    assert start[0] < end[0] < before[1]


def test_charts_are_tables_too_and_split_by_groups(root: Console) -> None:
    root.page.get_by_text("Usage as a table").click()
    expect(root.rows("Usage over time")).to_have_count(1)
    expect(root.rows("Usage over time").locator("td")).to_have_text(["4"])
    root.page.get_by_role("combobox", name="by", exact=True).select_option("entry")
    expect(root.page.locator("#usage-chart li")).to_have_text(["api"])
    root.page.get_by_role("combobox", name="Show", exact=True).select_option("tokens")
    expect(root.rows("Usage over time").locator("td")).not_to_have_text(["4"])
    root.page.get_by_text("Latency as a table").click()
    expect(root.rows("Percentiles of the time until the first text").locator("td").first).to_contain_text("ms")


def test_late_answer_does_not_replace_that_of_a_newer_period(root: Console) -> None:
    held: list[Route] = []
    expect(root.rows("The newest rated answers")).to_contain_text(["bad"])
    root.page.route("**/analytics/feedback/**", lambda route: route.continue_() if held else held.append(route))
    root.page.get_by_role("button", name="24 hours").click()
    wait_for(lambda: root.page.evaluate("1") == 1 and held != [], 10)
    with root.page.expect_response("**/analytics/feedback/**"):
        root.page.get_by_role("button", name="7 days").click()
    expect(root.rows("The newest rated answers")).to_contain_text(["bad"])
    with root.page.expect_response("**/analytics/feedback/**") as late:
        held[0].fulfill(json={"up": 0, "down": 0, "items": []})
    late.value.finished()
    root.page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(root.rows("The newest rated answers")).to_contain_text(["bad"])
