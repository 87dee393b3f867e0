"""Bounds on one user's open requests, pages of lists and event streams in this process."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask, Response, current_app, g
from werkzeug.wsgi import ClosingIterator

from chatbot.concurrency.semaphores import RoundRobinSemaphore
from chatbot.errors import Busy, TooManyRequestsAtOnce, TooManyStreams

KEY = "chatbot.admission"
RETRY_AFTER = 2.0  # seconds
MAX_PAGES_PER_USER = 1  # a page of a long history takes the process some 10 ms
MAX_PAGES = 4096
MAX_FORKS_PER_USER = 1
MAX_FORKS = 4  # each writes many rows, behind which others' writes stand
MAX_WAIT_SECONDS = 20.0  # for the end of the user's other pages


class Bound:
    """Counts the places that each key holds, up to a bound; None bounds nothing."""

    def __init__(self, bound: int | None) -> None:
        self._bound = bound
        self._held: Counter[Any] = Counter()
        self._lock = threading.Lock()

    def acquire(self, key: Any) -> bool:
        """Count one more of a key; return whether there was room."""
        with self._lock:
            if self._bound is not None and self._held[key] >= self._bound:
                return False
            self._held[key] += 1
            return True

    def release(self, key: Any) -> None:
        """Count one less of a key."""
        with self._lock:
            self._held[key] -= 1
            if self._held[key] <= 0:
                del self._held[key]


class Admission:
    """The open requests, streams, pages and forks of this process's users."""

    def __init__(self, requests: int | None, streams: int | None) -> None:
        self.requests = Bound(requests)
        self.streams = Bound(streams)
        self.pages = None if requests is None else RoundRobinSemaphore(MAX_PAGES, MAX_PAGES_PER_USER)
        self.forks = None if requests is None else RoundRobinSemaphore(MAX_FORKS, MAX_FORKS_PER_USER)


def init_app(app: Flask) -> None:
    """Bound each user's open requests; a request ends when its answer is sent, not when its view returns."""
    bounds = (app.config["REQUESTS_PER_USER"], app.config["STREAMS_PER_USER"])
    app.extensions[KEY] = Admission(*(bounds if app.config["RATELIMIT_ENABLED"] else (None, None)))
    app.after_request(_release_when_sent)
    app.teardown_request(_release_now)


def enter_request(user_id: Any) -> None:
    """Count this request for its user; raises TooManyRequestsAtOnce."""
    requests = _admission().requests
    if not requests.acquire(user_id):
        raise TooManyRequestsAtOnce("Wait until some of your requests have ended.", retry_after=RETRY_AFTER)
    g.releases = {"request": partial(requests.release, user_id)}


def enter_stream(user_id: Any) -> None:
    """Count this request as an event stream from now on, once; raises TooManyStreams.

    Called before anything is written that the stream would show.
    """
    if "stream" in g.releases:
        return
    streams = _admission().streams
    if not streams.acquire(user_id):
        raise TooManyStreams("Close some of your event streams.", retry_after=RETRY_AFTER)
    g.releases["stream"] = partial(streams.release, user_id)
    g.releases.pop("request")()


def keep_stream() -> Callable[[], None]:
    """Let the stream of this request go on behind it; return the function that ends it, for its reader to call."""
    release: Callable[[], None] = g.releases.pop("stream")
    return release


def enter_page(user_id: Any) -> None:
    """Wait until few enough pages are made for the user; raises TooManyRequestsAtOnce after MAX_WAIT_SECONDS."""
    if not _enter("page", _admission().pages, user_id):
        raise TooManyRequestsAtOnce("Wait until some of your requests have ended.", retry_after=RETRY_AFTER)


def pace_pages(user_id: Any, seconds: float) -> None:
    """Let others have as long as a page of a user took, where more pages of the user wait for its end."""
    pages = _admission().pages
    if pages is not None and pages.is_waited_for(user_id):
        time.sleep(seconds)


def enter_fork(user_id: Any) -> None:
    """Wait for a place among the forks of this process, one a user; raises Busy after MAX_WAIT_SECONDS."""
    if not _enter("fork", _admission().forks, user_id):
        raise Busy("Too many conversations are forked now; retry later.", retry_after=RETRY_AFTER)


def _enter(name: str, places: RoundRobinSemaphore | None, user_id: Any) -> bool:
    """Wait for a place of a user for up to MAX_WAIT_SECONDS; return False where none came."""
    if places is None:
        return True
    if not places.acquire(user_id, MAX_WAIT_SECONDS):
        return False
    g.releases[name] = partial(places.release, user_id)
    return True


def _admission() -> Admission:
    found: Admission = current_app.extensions[KEY]
    return found


def _release_when_sent(response: Response) -> Response:
    releases: dict[str, Callable[[], None]] = g.pop("releases", {})
    for made in {"page", "fork"} & releases.keys():
        releases.pop(made)()  # a client that does not read it holds up no other
    if releases and response.direct_passthrough:  # of which werkzeug tells the server nothing but the iterator
        response.response = ClosingIterator(response.response, list(releases.values()))  # type: ignore[arg-type]  # an iterable of bytes
        return response
    for release in releases.values():
        response.call_on_close(release)
    return response


def _release_now(_: BaseException | None) -> None:
    """Release the places that no response took over."""
    for release in g.pop("releases", {}).values():
        release()
