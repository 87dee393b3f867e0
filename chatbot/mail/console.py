"""Mails on the terminal, for development."""

import sys

from .ports import Letter


class ConsoleMailer:
    """Prints mails instead of sending them."""

    def send(self, letter: Letter) -> None:
        """Print a mail's text to standard error."""
        head = f"--- Mail to {letter.recipient}: {letter.subject} ---"
        print(f"{head}\n{letter.text.rstrip()}\n{'-' * len(head)}", file=sys.stderr, flush=True)
