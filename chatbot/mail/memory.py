"""Mails in memory, for tests."""

from .ports import Letter


class MemoryMailer:
    """Keeps the mails of this process."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def send(self, letter: Letter) -> None:
        """Keep a mail."""
        self.letters.append(letter)
