"""The port through which mails leave."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it is sent. Each try has the same `id`, by which mailboxes know doubles."""

    id: str
    recipient: str
    subject: str
    text: str
    html: str


class MailUnavailable(Exception):
    """A mail cannot be sent now; another try may succeed."""


class MailRefused(Exception):
    """The mail server will never take this mail."""


class Mailer(Protocol):
    """Sends one mail at a time."""

    def send(self, letter: Letter) -> None:
        """Send a mail; raises MailUnavailable, MailRefused."""
