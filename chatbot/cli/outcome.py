"""How a command ends: with one line, and with exit code 0 only when all was done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import ChatbotError, InvalidInput
from ..services import single_writer


def watched() -> bool:
    """Tell whether a person looks at standard error."""
    return sys.stderr.isatty()


@contextmanager
def told() -> Iterator[None]:
    """Turn a refusal into one clear line and exit code 1; refuse to write beside a server where that is unsafe."""
    try:
        single_writer.require_alone()
        yield
    except InvalidInput as error:
        reasons = (f"{name}: {' '.join(messages)}" for name, messages in error.errors.items())
        raise click.ClickException("; ".join(reasons)) from error
    except ChatbotError as error:
        raise click.ClickException(error.detail) from error
