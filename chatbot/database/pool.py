"""SQLAlchemy's pool with waiters served in FIFO order."""

from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from chatbot.concurrency.semaphores import FairSemaphore


class FairPool(QueuePool):
    """A QueuePool behind a fair queue: in its own a newcomer may overtake a woken waiter.

    An overtaken waiter queues anew, so that some of many may wait until their timeout, in vain. This one has one
    size: a QueuePool that may overflow asks itself for a connection again, which would take two places.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.size() < 1 or self._max_overflow:
            raise ValueError("pool_size is to be 1 or more and max_overflow 0.")
        self.semaphore = FairSemaphore(self.size())

    def _do_get(self) -> ConnectionPoolEntry:
        if not self.semaphore.acquire(self.timeout()):
            raise PoolTimeout(f"No connection within {self.timeout()} seconds; {self.status()}")
        try:
            return super()._do_get()
        except BaseException:
            self.semaphore.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self.semaphore.release()
