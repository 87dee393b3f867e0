"""Work for the processor in a native thread: on gevent's hub it would hold every stream."""

import ctypes
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPoolExecutor as GeventExecutor

P = ParamSpec("P")
R = TypeVar("R")

_one_at_a_time = threading.RLock()


def run_in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in the thread and wait for it cooperatively.

    There is one, so that what runs in it needs no lock against the rest. It must not call this again, nor wait for a
    database or a socket of ours. Where there is no hub to be held (`flask` commands), it is called here.
    """
    if not monkey.is_module_patched("threading"):
        with _one_at_a_time:
            return function(*args, **kwargs)
    return _call_in(_executor("quick"), function, *args, **kwargs)


def run_in_slow_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a pure function in a second thread and wait: for seconds of work, behind which no search shall stand."""
    if not monkey.is_module_patched("threading"):
        return function(*args, **kwargs)
    return _call_in(_executor("slow"), function, *args, **kwargs)


def run_in_own_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a thread of its own and wait: for minutes of reading that must delay no other work."""
    if not monkey.is_module_patched("threading"):
        return function(*args, **kwargs)
    with GeventExecutor(1) as executor:
        return _call_in(executor, function, *args, **kwargs)


def create_executor() -> Executor:
    """Return an executor of one native thread; each thread and greenlet of this process may await its results."""
    # A pool of gevent's is of the thread that made it; without gevent's patches each request may have its own thread.
    return GeventExecutor(1) if monkey.is_module_patched("threading") else ThreadPoolExecutor(1)


def give_back() -> None:
    """Give memory that was let go back to the system, where the C library can: after a load it keeps tens of MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _call_in(executor: GeventExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in an executor's thread and wait; its exception is raised in this thread alone."""
    returned: list[R] = []

    def call() -> Exception | None:
        """Return the exception in place of raising it: gevent would print each, also those that are expected."""
        try:
            returned.append(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            return error
        return None

    error = executor.submit(call).result()
    if error is not None:
        raise error
    return returned[0]


@functools.cache
def _executor(_: str) -> GeventExecutor:
    return GeventExecutor(1)
