"""Threads of a traced interpreter keep their greenlets."""

import sys
import threading

import greenlet
from greenlet._greenlet import enable_optional_cleanup

_greenlets: list[greenlet.greenlet] = []


def _keep_greenlet(*_: object) -> None:
    """Keep the main greenlet of each thread for good.

    Where it is freed with its thread, greenlet does that in a pending call of the interpreter, and coverage hears of it
    by a weak reference: Python code, traced, in a pending call. When another thread's is pending at that moment, the
    loop of CPython 3.11 handles it before each traced instruction, is told that one is being handled, and never ends.
    What else greenlet does in that call for a greenlet that somebody keeps, a walk over all objects, is switched off
    below: it imports a module in the midst of any frame, and fails in those that have no builtins (namedtuple's).
    """
    sys.setprofile(None)
    _greenlets.append(greenlet.getcurrent())


threading.setprofile(_keep_greenlet)  # it is called at the first call within each thread
enable_optional_cleanup(False)
