"""Leases: work of one process at a time, with a fencing token (M. Kleppmann, "How to do distributed locking", 2016)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.errors import LeaseLost

from .lease import Lease
from .transactions import write
from .types import now

MAX_CLOCK_SKEW = timedelta(hours=1)  # by which no two clocks that can be believed differ
RENEW = (
    sa.update(Lease)
    .where(Lease.name == sa.bindparam("its_name"), Lease.token == sa.bindparam("held_token"))
    .values(expires_at=sa.bindparam("until", type_=Lease.expires_at.type))
    .returning(Lease.token)
)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease; valid until another process has a higher token."""

    name: str
    token: int
    length: timedelta


def ensure(name: str) -> None:
    """Make the row of a lease unless it is there."""
    try:
        with write("ensure_lease") as connection:
            if connection.scalar(sa.select(Lease.name).where(Lease.name == name)) is None:
                connection.execute(sa.insert(Lease).values(name=name, token=0))
    except IntegrityError:
        pass  # another process made it


def acquire(name: str, length: timedelta) -> Held | None:
    """Take a lease for so long, or return None while another process holds it."""
    ensure(name)
    statement = (
        sa.update(Lease)
        .where(Lease.name == name, sa.or_(Lease.expires_at.is_(None), is_expired(Lease.expires_at, length)))
        .values(token=Lease.token + 1, expires_at=now() + length)
        .returning(Lease.token)
    )
    with write("acquire_lease") as connection:
        token = connection.scalar(statement)
    return None if token is None else Held(name, token, length)


def is_expired(expires_at: sa.SQLColumnExpression[Any], length: timedelta) -> sa.ColumnElement[bool]:
    """Return the condition that a lease of this length has expired.

    One that lasts longer than any lease was taken by a clock that was set right since; a process that is
    still there renews it by now.
    """
    return sa.or_(expires_at < now(), expires_at > now() + length + MAX_CLOCK_SKEW)


def confirm(connection: sa.Connection, held: Held) -> None:
    """Renew a lease inside the transaction of its work; raises LeaseLost when another process holds it."""
    values = {"its_name": held.name, "held_token": held.token, "until": now() + held.length}
    if connection.scalar(RENEW, values) is None:
        raise LeaseLost(f"Another process has taken over: {held.name}.")


def revoke(connection: sa.Connection, name: str) -> None:
    """Take a lease from its holder, in the transaction of a change to the data of their work."""
    values = {"token": Lease.token + 1, "expires_at": None}
    connection.execute(sa.update(Lease).where(Lease.name == name).values(values))


def release(held: Held, *, completed: bool) -> None:
    """Give a lease back; `completed` work counts as a run."""
    values = {"expires_at": None, **({"last_run_at": now(), "not_before": None} if completed else {})}
    with write("release_lease") as connection:
        connection.execute(sa.update(Lease).where(Lease.name == held.name, Lease.token == held.token).values(values))
