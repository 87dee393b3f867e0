"""A headless Chromium, pages that are bundled from packages of npm, and a server of files."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NODE = ROOT / "tests/node"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def open_browser() -> "Iterator[Browser]":
    """Run Debian's Chromium, or playwright's, for the time of a block; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright has no wheel for this platform")
    with playwright.sync_playwright() as driver:
        own = driver.chromium.executable_path
        found = next(filter(None, map(shutil.which, NAMES)), None) or (own if Path(own).exists() else None)
        if found is None:
            pytest.skip(f"no browser: install {' or '.join(NAMES)}, or run `playwright install chromium`")
        # Its sandbox does not start for root, and /dev/shm of a container is too small for it.
        options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = driver.chromium.launch(executable_path=found, args=options)
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


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Serve a folder for the time of a block; returns the port."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_: object) -> None:
        pass
