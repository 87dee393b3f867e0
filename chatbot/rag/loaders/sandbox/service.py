"""The child's side: one document after the other, each within limits that the kernel holds."""

import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from chatbot.rag import errors, registry
from chatbot.rag.loaders import plain
from chatbot.rag.types import Parsed, ParserLimits

from . import frames

WALL_MARGIN = 5.0  # seconds that the parent has to end us before we do it
NICENESS = 5  # answers come first
GROWN = 0.5  # share of the memory at whose peak the process is replaced
STATUS = Path("/proc/self/status")
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def run(limits: ParserLimits) -> None:
    """Serve until the parent closes its end, the documents are used up, or memory has grown; then return."""
    parent = socket.socket(fileno=os.dup(0))
    _silence()
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    for done in range(1, limits.documents + 1):
        try:
            head, body = frames.read(lambda size: receive(parent, size))
        except EOFError:
            return
        watch(parent, limits)
        answer, text = handle(head, body)
        rest(parent)
        last = done == limits.documents or answer.get("error") == "ParserCrashed" or _grown(limits)
        parent.sendall(frames.packed({**answer, "last": last}, len(text)))
        parent.sendall(text)
        if last:
            return
        del body, text


def receive(connection: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes; raises EOFError when the other side has closed."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    at = 0
    while at < size:
        came = connection.recv_into(view[at:], min(size - at, 2**20))
        if not came:
            raise EOFError
        at += came
    view.release()
    return bytes(buffer)


def watch(parent: socket.socket, limits: ParserLimits) -> None:
    """Have the kernel end this process when it computes or waits too long, or when the parent is gone.

    Also inside a library that never comes back: the default action of each of these signals is the end.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + limits.cpu, resource.RLIM_INFINITY)
    )
    signal.setitimer(signal.ITIMER_REAL, limits.wall + WALL_MARGIN)
    fcntl.fcntl(parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent, fcntl.F_SETFL, fcntl.fcntl(parent, fcntl.F_GETFL) | os.O_ASYNC)


def rest(parent: socket.socket) -> None:
    """Take the watch off: between two documents the parent may be silent, and then sends."""
    fcntl.fcntl(parent, fcntl.F_SETFL, fcntl.fcntl(parent, fcntl.F_GETFL) & ~os.O_ASYNC)
    signal.setitimer(signal.ITIMER_REAL, 0)


def handle(head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the answer to a request: head and text, or the name and the text of an error."""
    try:
        loader = _loader(head)()
        with plain.reading("document"):
            made: Parsed = loader.load(body)
            result = plain.parsed(made.text, made.title, made.pages)
            return {"title": result.title, "pages": result.pages, "warnings": made.warnings}, result.text.encode()
    except MemoryError:
        return {"error": "ParserCrashed", "detail": "The document takes too much memory to read."}, b""
    except (errors.DocumentError, errors.AdapterError) as error:
        return {"error": type(error).__name__, "detail": str(error), "cause": _cause(error)}, b""


def _loader(head: dict[str, Any]) -> Callable[[], Any]:
    if head["loader"] is None:
        return registry.load("loaders", head["media_type"])  # type: ignore[no-any-return]  # found by name
    module, _, attribute = head["loader"].partition(":")
    try:
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]  # found by name
    except ModuleNotFoundError as error:
        raise errors.MissingLibrary(
            f"The loader {head['loader']!r} needs a library: pip install {error.name}"
        ) from error


def _cause(error: BaseException) -> str | None:
    """Return the place where a library gave up, without a word of the document."""
    cause = error.__cause__ if isinstance(error, errors.DocumentError) else None
    if cause is None or cause.__traceback__ is None:
        return None
    trace = cause.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(cause).__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _grown(limits: ParserLimits) -> bool:
    return _peak() > limits.memory * GROWN


def _peak() -> int:
    """Return the most memory that this process has had, in bytes.

    On Linux `ru_maxrss` begins with what the parent had when it forked, which may be more than we ever take.
    """
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _silence() -> None:
    """Silence output: a library's prints must neither break frames nor bring a document's text into a log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
