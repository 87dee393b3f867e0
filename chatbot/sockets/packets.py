"""The queue of a socket's packets, with an end."""

from typing import Any

from engineio.packet import MESSAGE  # type: ignore[import-untyped]  # engine.io has no types
from gevent.queue import Empty, JoinableQueue

from .transport import BoundedWebSocket

MAX_QUEUED_PACKETS = 256
MAX_QUEUED_BYTES = 1 << 20


class BoundedQueue(JoinableQueue):  # type: ignore[misc]  # gevent has no types
    """The packets that wait for a socket; when they are too many it `has_overflowed`, and takes none until cleared.

    A packet put into an empty queue is sent at once if the socket accepts it: waking the writer costs more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0
        self._is_idle = False  # the writer waits, with nothing in its hands
        self.has_overflowed = False
        self.websocket: BoundedWebSocket | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a packet, unless the queue has overflowed; None, which ends the writer, is always taken.

        So is a packet that is larger than the bound, such as a long answer, while no other waits.
        """
        size = _get_size(item)
        is_full = self.qsize() >= MAX_QUEUED_PACKETS or (self.qsize() and self._bytes + size > MAX_QUEUED_BYTES)
        if item is not None and (is_full or self.has_overflowed):
            self.has_overflowed = True  # nothing follows a dropped packet: its client would take it for the next one
            return
        if self._is_idle and self.empty() and self._send_at_once(item):
            return
        self._bytes += size
        super().put(item, block, timeout)

    def _send_at_once(self, item: Any) -> bool:
        # Not pings: a writer that gets nothing for 45 s ends the connection.
        if self.websocket is None or item is None or item.packet_type != MESSAGE:
            return False
        return self.websocket.send_at_once(item.encode())

    def clear(self) -> None:
        """Drop all packets, so that the event `closing` fits."""
        while not self.empty():
            self._bytes -= _get_size(super().get(block=False))
            self.task_done()
        self.has_overflowed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next packet; a call that does not block raises Empty.

        So engine.io's writer takes one packet at a time, and the others stay counted.
        """
        if not block:
            raise Empty
        self._is_idle = True
        try:
            item = super().get(block, timeout)
        finally:
            self._is_idle = False
        self._bytes -= _get_size(item)
        return item


def _get_size(item: Any) -> int:
    data = getattr(item, "data", None)
    return len(data.encode()) if isinstance(data, str) else 0
