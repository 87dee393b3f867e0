"""The load of a server: the gauges of all its processes, as administrators follow them."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from chatbot.database.types import now
from chatbot.errors import DatabaseBusy, DatabaseUnavailable
from chatbot.observability import metrics
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import Caller

from . import gauges


@dataclass(frozen=True, slots=True)
class BreakerCount:
    """The number of a server's processes with an open breaker of a model."""

    model: str
    open: int


@dataclass(frozen=True, slots=True)
class SocketCount:
    """The open connections of sockets to a namespace."""

    namespace: str
    connections: int


@dataclass(frozen=True, slots=True)
class Load:
    """The gauges of all processes of a server; each running turn has a slot."""

    at: datetime
    running_turns: int
    turn_slots: int
    documents_waiting: int
    database_connections: int
    breakers: list[BreakerCount]
    sockets: list[SocketCount]


def read_load(caller: Caller) -> Load:
    """Look at the gauges of this process, and return those of all; raises Forbidden.

    Those of other processes are as old as their last look. Without a database the queue is as it was counted last.
    """
    require_admin(caller)
    with suppress(DatabaseBusy, DatabaseUnavailable):
        gauges.look()
    values = metrics.read_gauges()
    return Load(
        now(),
        running_turns=int(values[metrics.SLOTS].get("used", 0)),
        turn_slots=int(values[metrics.SLOTS].get("all", 0)),
        documents_waiting=int(values[metrics.QUEUE].get("", 0)),
        database_connections=int(values[metrics.CONNECTIONS].get("", 0)),
        breakers=[BreakerCount(model, int(number)) for model, number in sorted(values[metrics.BREAKERS].items())],
        sockets=[SocketCount(name, int(number)) for name, number in sorted(values[metrics.SOCKETS].items())],
    )
