"""SQLAlchemy's pool, in which whoever waits for a connection gets one in his turn."""

from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from .turnstile import Turnstile


class FairPool(QueuePool):
    """A QueuePool with a queue before it: in its own, whoever comes at the right moment overtakes who was woken.

    Of 2,000 streams on two busy workers one in a hundred waited for 5 to 9 seconds, or in vain; half for less than one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turnstile = Turnstile(self.size())

    def _do_get(self) -> ConnectionPoolEntry:
        if not self._turnstile.acquire(self.timeout()):
            raise PoolTimeout(f"No connection within {self.timeout()} seconds; {self.status()}")
        try:
            return super()._do_get()
        except BaseException:
            self._turnstile.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self._turnstile.release()
