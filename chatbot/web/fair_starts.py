"""Requests of different addresses start in turn.

A connection on which requests always wait, and many connections that become readable in one moment, are served without
a break by gevent: the sockets never block. Where a round of the event loop has taken long, each address starts one
request in each further round; and in any round it begins to parse one large body.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from . import networks

TAKE_TURN = "chatbot.take_turn"  # in the WSGI environment, where the server is gunicorn
LONG_ROUND_SECONDS = 0.05  # before it, a gate for all requests costs an eighth of them per second


class RoundRobinGate:
    """Lets each key in once in a round of the event loop, while rounds are long or keys wait, or for costly work."""

    def __init__(self, long_round_seconds: float = LONG_ROUND_SECONDS) -> None:
        self._long_round_seconds = long_round_seconds
        self._iteration = -1
        self._began_at = 0.0  # the first start in it
        self._entered: set[str] = set()
        self._waiting: dict[str, deque[Event]] = {}

    def enter(self, key: str, *, is_costly: bool = False) -> None:
        """Wait for a round in which the key has not entered yet; cheap work enters at once while rounds are short."""
        if not is_costly and not self._waiting and not self._is_long():
            return
        if key not in self._entered and key not in self._waiting:
            self._enter(key)
            return
        event = Event()
        self._waiting.setdefault(key, deque()).append(event)
        event.wait()

    def _is_long(self) -> bool:
        """Return whether the first start in this round of the loop was too long ago."""
        iteration = gevent.get_hub().loop.iteration
        now = time.monotonic()
        if iteration != self._iteration or iteration < 0:  # libuv does not count
            self._iteration = iteration
            self._began_at = now
        return now - self._began_at > self._long_round_seconds

    def _enter(self, key: str) -> None:
        if not self._entered:
            gevent.spawn(self._begin_round)
        self._entered.add(key)

    def _begin_round(self) -> None:
        gevent.sleep(0)  # until all that is ready now has run
        self._entered.clear()
        for key in list(self._waiting):
            queue = self._waiting[key]
            self._enter(key)
            queue.popleft().set()
            if not queue:
                del self._waiting[key]


class FairStarts:
    """WSGI middleware in which requests wait for the turn of their address."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._gate = RoundRobinGate()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Wait, then call the application; behind a proxy the address is the one that it names."""
        if "gunicorn.socket" in environ:
            key = networks.provider_network(environ.get("REMOTE_ADDR", ""))
            environ[TAKE_TURN] = partial(self._gate.enter, key, is_costly=True)
            self._gate.enter(key)
        return self._application(environ, start_response)


def take_turn(environ: dict[str, Any]) -> None:
    """Wait for another turn of the request's address: its body has come, and its parsing takes time."""
    enter: Callable[[], None] | None = environ.get(TAKE_TURN)
    if enter is not None:
        enter()
