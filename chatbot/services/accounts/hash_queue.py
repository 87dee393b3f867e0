"""The order in which passwords are hashed: networks take turns, so that an attack delays others by one hash each."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from chatbot.concurrency.semaphores import KeyedSemaphore, RoundRobinSemaphore
from chatbot.errors import Busy

Kind = Literal["known", "fresh", "failed"]  # has logged in before, neither, or has guessed wrong lately

MAX_WAITING_HASHES = 1024  # of each kind of origin
MAX_WAITING_PER_ORIGIN = 16  # 4 s
MAX_WAIT_SECONDS = 20.0  # for a turn
RETRY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Origin:
    """The network or the user that a hash is computed for."""

    name: str
    kind: Kind = "fresh"


OPERATOR = Origin("operator", "known")  # `flask` commands
origin: ContextVar[Origin] = ContextVar("origin", default=OPERATOR)  # of the request that is served


class HashQueue:
    """Grants the hashing thread to the kinds of origins in turn, and round-robin within each kind."""

    def __init__(self) -> None:
        self._places = {kind: KeyedSemaphore(MAX_WAITING_PER_ORIGIN, MAX_WAITING_HASHES) for kind in get_args(Kind)}
        self._of_kind = {kind: RoundRobinSemaphore(1, 1) for kind in get_args(Kind)}
        self._kinds = RoundRobinSemaphore(1, 1)

    @property
    def waiting_count(self) -> int:
        """How many wait for their turn."""
        return self._kinds.waiting_count + sum(semaphore.waiting_count for semaphore in self._of_kind.values())

    @contextmanager
    def turn(self, origin: Origin) -> Iterator[None]:
        """Wait for an origin's turn and hold it for as long as the context lasts; raises Busy."""
        places = self._places[origin.kind]
        if not places.acquire(origin.name, 0):
            raise Busy("Too many logins at once.", retry_after=RETRY_AFTER_SECONDS)
        try:
            with _hold(self._of_kind[origin.kind], origin.name), _hold(self._kinds, origin.kind):
                yield
        finally:
            places.release(origin.name)


@contextmanager
def _hold(semaphore: RoundRobinSemaphore, key: str) -> Iterator[None]:
    if not semaphore.acquire(key, MAX_WAIT_SECONDS):
        raise Busy("Too many logins at once.", retry_after=RETRY_AFTER_SECONDS)
    try:
        yield
    finally:
        semaphore.release(key)
