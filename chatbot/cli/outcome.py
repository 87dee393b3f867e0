"""How a command ends: with one line, and with exit code 0 only when all was done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from chatbot.database.sqlite import server_lock
from chatbot.errors import ChatbotError, InvalidInput


def watched() -> bool:
    """Return whether a person looks at standard error."""
    return sys.stderr.isatty()


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn a refusal into one clear line and exit code 1; refuse to write beside a server where that is unsafe."""
    try:
        server_lock.require_alone()
        yield
    except InvalidInput as error:
        reasons = (f"{name}: {' '.join(messages)}" for name, messages in error.errors.items())
        raise click.ClickException("; ".join(reasons)) from error
    except ChatbotError as error:
        raise click.ClickException(error.detail) from error


def bar(label: str, length: int) -> Any:
    """Return a progress bar as a context, with a function that takes steps; silent without a terminal."""
    return _Steps(click.progressbar(length=length, label=label, hidden=not watched(), file=sys.stderr))


class _Steps:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def __enter__(self) -> Callable[[int], None]:
        step: Callable[[int], None] = self._bar.__enter__().update
        return step

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)
