"""Mails by SMTP to addresses and servers that are faulty; tests/system/test_mails.py has a real one."""

import pytest

from chatbot.mail.ports import Letter, MailRefused, MailUnavailable
from chatbot.mail.smtp import SmtpMailer
from tests.support.processes import free_port

SENDER = "Chat <chat@example.org>"


def letter(recipient: str) -> Letter:
    return Letter("1", recipient, "A subject", "A text", "<p>A text</p>")


@pytest.mark.parametrize(
    "recipient", ["", "x", "a@b@c", "a b@example.org", "a@example.org\r\nBcc: b@example.org", "é@example.org", "<@>"]
)
def test_address_that_no_header_can_have_is_refused(recipient: str) -> None:
    with pytest.raises(MailRefused):
        SmtpMailer(f"smtp://127.0.0.1:{free_port()}", SENDER).send(letter(recipient))


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_server_that_is_away_is_tried_again(scheme: str) -> None:
    with pytest.raises(MailUnavailable, match="ConnectionRefusedError"):
        SmtpMailer(f"{scheme}://user:password@127.0.0.1:{free_port()}", SENDER).send(letter("ada@example.org"))
