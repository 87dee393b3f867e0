"""A connection to a host that was resolved once and checked, with deadlines and a bound on its input."""

import contextlib
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from .addresses import Address
from .deadlines import Guard, Watchdog

# What socket.getaddrinfo returns: family, kind, protocol, canonical name, (IP address, port, ...).
Place = tuple[Any, Any, Any, Any, Any]
Resolver = Callable[..., Sequence[Place]]

PIECE = 16_384  # bytes received at a time, at most
MAX_HEAD_BYTES = 65_536  # bytes of an answer before its body
MAX_PLACES = 4  # of a host that are tried: a host with a thousand would have us scan them


class BoundedConnection(io.RawIOBase):
    """The input of a connection until it has `ended`: at most `left` bytes more, none after the deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self.left = MAX_HEAD_BYTES
        self.ended = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader, as http.client asks a socket for one."""
        return io.BufferedReader(self, PIECE)

    def send(self, data: bytes) -> None:
        """Send all of this."""
        self._connection.sendall(data)

    def readable(self) -> bool:
        """Return True: the buffered reader asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive the next bytes; raises OSError, TimeoutError past the deadline, and ValueError beyond the bound."""
        try:
            count = self._connection.recv_into(buffer)
        except OSError:
            self._check_deadline()  # Linux resets a connection that the watchdog shut down and a byte reaches then
            raise
        self._check_deadline()  # the watchdog's cut looks like a good end
        self.ended = not count
        self.left -= count
        if self.left < 0:
            raise ValueError("the answer is too long")
        time.sleep(0)  # a flood would not let other greenlets run
        return count

    def _check_deadline(self) -> None:
        if time.monotonic() >= self._deadline:
            raise TimeoutError("the answer took too long")


def resolve_host(address: Address, resolve: Resolver, until: float) -> Sequence[Place]:
    """Ask for all places of a host, until a monotonic time; raises OSError.

    The resolver of the system knows no deadline and may take a minute, so that its thread is left behind then.
    """
    answer: Future[Sequence[Place]] = Future()

    def look_up() -> None:
        try:
            answer.set_result(resolve(address.name, address.port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    return answer.result(timeout=until - time.monotonic())


@contextlib.contextmanager
def connect(address: Address, places: Sequence[Place], until: float, deadline: float) -> Iterator[BoundedConnection]:
    """Connect to one of these places and no other, for https with a certificate that is checked for the host's name.

    The connection stands at the monotonic time `until` and is cut at `deadline`. Raises OSError.
    """
    with Watchdog().guard(until) as guard, contextlib.ExitStack() as stack:
        connection = stack.enter_context(_dial(places, until))
        guard.watch(connection)
        if address.scheme == "https":
            connection = stack.enter_context(_encrypt(connection, address, guard))
        guard.deadline = deadline
        yield BoundedConnection(connection, deadline)


def _dial(places: Sequence[Place], until: float) -> socket.socket:
    failure = OSError("the host has no address")
    tried = places[:MAX_PLACES]
    for index, (family, kind, protocol, _, place) in enumerate(tried):
        connection = socket.socket(family, kind, protocol)
        try:
            # The first of several may be one that nothing answers from.
            connection.settimeout(max(until - time.monotonic(), 0.001) / (len(tried) - index))
            connection.connect(place)
            connection.settimeout(None)  # from here on the watchdog has the time
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _encrypt(connection: socket.socket, address: Address, guard: Guard) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    encrypted = context.wrap_socket(connection, server_hostname=address.name, do_handshake_on_connect=False)
    try:
        guard.watch(encrypted)  # gevent's handshake and reads begin their timeout again at each byte
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()
        raise
    return encrypted
