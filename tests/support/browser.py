"""Debian's Chromium, without a window, and pages that are bundled from packages of npm."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NODE = ROOT / "tests/node"


@contextlib.contextmanager
def open_browser() -> "Iterator[Browser]":
    """Run a browser for the time of a block; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright has no wheel for this platform")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium (a package of Debian's)")
    with playwright.sync_playwright() as driver:
        # As root, as in CI, there is no sandbox.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def bundle(source: Path, folder: Path) -> str:
    """Return a page's script with all that it imports."""
    target = folder / f"{source.stem}.js"
    node = Path(sys.executable).with_name("node")
    command = [str(node), str(NODE / "bundle.mjs"), str(source), str(target)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    return target.read_text()


def open_page(browser: "Browser", port: int, script: str, settings: dict[str, Any]) -> "Page":
    """Open a page with a script, as if the server at this port had it; it finds its settings in `window.settings`."""
    page = browser.new_page()
    page.set_default_timeout(20_000)
    html = f"<!doctype html><meta charset=utf-8><body><script>window.settings = {json.dumps(settings)}</script>"
    html += '<script src="/page.js"></script>'
    page.route("**/page", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.route("**/page.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"http://127.0.0.1:{port}/page")
    return page
