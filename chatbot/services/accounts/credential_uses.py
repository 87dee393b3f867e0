"""The uses of credentials, kept in memory until a job stores them: a request must not wait for a database that is busy.

API keys and sessions show the minute of their last use. A generation of a session is seen with the first use of one of
its access tokens: `rotation.py` has what follows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import write
from chatbot.database.types import now
from chatbot.models import ApiKey, Session

K = TypeVar("K")
RESOLUTION = timedelta(minutes=1)  # of a last use: a credential in steady use is written once a minute


class Unstored(Generic[K]):
    """Moments by their keys, which a job takes away and stores."""

    def __init__(self) -> None:
        self._moments: dict[K, datetime] = {}

    def add(self, key: K) -> None:
        """Keep the present moment for a key."""
        self._moments[key] = now()

    @contextmanager
    def take(self) -> Iterator[dict[K, datetime]]:
        """Yield the kept moments, and keep them on where the block raises."""
        taken = self._moments
        self._moments = {}
        try:
            yield taken
        except BaseException:
            self._moments = taken | self._moments
            raise


class CredentialUses:
    """The uses of one process that are not stored yet."""

    def __init__(self) -> None:
        self.api_keys = Unstored[UUID]()
        self.sessions = Unstored[UUID]()
        self.generations = Unstored[tuple[UUID, str]]()  # by their session and the `jti` of their access tokens

    def store(self) -> None:
        """Store when API keys and sessions were last used.

        What the database does not take is kept for the next time. Raises DatabaseBusy, DatabaseUnavailable.
        """
        with self.api_keys.take() as taken:
            if taken:
                with write("use_api_keys", durable=False) as connection:
                    connection.execute(_set_last_use(ApiKey), _list_values(taken))
        with self.sessions.take() as taken:
            if taken:
                with write("use_sessions", durable=False) as connection:
                    connection.execute(_set_last_use(Session), _list_values(taken))

    def store_generations(self) -> None:
        """Store which generations of sessions were seen, and when first; raises as `store` does."""
        with self.generations.take() as taken:
            if not taken:
                return
            found = (Session.id == sa.bindparam("session_id"), Session.access_jti == sa.bindparam("jti"))
            statement = sa.update(Session).where(*found, Session.seen_at.is_(None))
            values = [{"session_id": one, "jti": jti, "moment": taken[one, jti]} for one, jti in sorted(taken)]
            with write("see_sessions", durable=False) as connection:
                connection.execute(statement.values(seen_at=sa.bindparam("moment")), values)


def _set_last_use(model: type[ApiKey] | type[Session]) -> sa.Update:
    is_older = sa.or_(model.last_used_at.is_(None), model.last_used_at < sa.bindparam("minute"))
    statement = sa.update(model).where(model.id == sa.bindparam("credential_id"), is_older)
    return statement.values(last_used_at=sa.bindparam("moment"))


def _list_values(uses: dict[UUID, datetime]) -> list[dict[str, object]]:
    """Return the parameters of an update for each use, in one order for all writers."""
    return [{"credential_id": one, "moment": uses[one], "minute": uses[one] - RESOLUTION} for one in sorted(uses)]
