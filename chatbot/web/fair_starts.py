"""Requests of different addresses start in turn.

A connection on which requests always wait, and many connections that become readable in one moment, are served without
a break by gevent: the sockets never block. Here each address starts one request in each round of the event loop.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from . import networks

TAKE_TURN = "chatbot.take_turn"  # in the WSGI environment, where the server is gunicorn


class RoundRobinGate:
    """Lets each key in once in each round of the event loop; further ones wait for the next rounds."""

    def __init__(self) -> None:
        self._entered: set[str] = set()
        self._waiting: dict[str, deque[Event]] = {}

    def enter(self, key: str) -> None:
        """Wait for a round in which the key has not entered yet."""
        if key not in self._entered and key not in self._waiting:
            self._enter(key)
            return
        event = Event()
        self._waiting.setdefault(key, deque()).append(event)
        event.wait()

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
            address = networks.parsed(environ.get("REMOTE_ADDR", ""))
            key = networks.network(address, networks.WIDEST) if address else ""
            environ[TAKE_TURN] = partial(self._gate.enter, key)
            self._gate.enter(key)
        return self._application(environ, start_response)


def take_turn(environ: dict[str, Any]) -> None:
    """Wait for another turn of the request's address: its body has come, and what follows takes time."""
    enter: Callable[[], None] | None = environ.get(TAKE_TURN)
    if enter is not None:
        enter()
