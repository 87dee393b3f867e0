"""Mails through a real mail server, and the page that they lead to in a real browser."""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import Server, running
from tests.support.smtp_server import SmtpServer
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

NEW = "another sound passphrase"


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[SmtpServer]:
    """Run a mail server."""
    server = SmtpServer(tmp_path / "mailbox")
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path, mailbox: SmtpServer) -> Iterator[Server]:
    """Run a server that sends its mails there."""
    settings = {"MAIL_URL": mailbox.url, "MAIL_FROM": "Chat <chat@example.org>"}
    with running(tmp_path, LLM="memory", **settings) as one:
        yield one


def receive(mailbox: SmtpServer, number: int) -> EmailMessage:
    """Return the mail of a number, from 1 on, as soon as it is there."""
    wait_for(lambda: len(mailbox.list_mails()) >= number, 30)
    return mailbox.list_mails()[number - 1]


def read_text(mail: EmailMessage, kind: str = "plain") -> str:
    body: Any = mail.get_body((kind,))
    return str(body.get_content())


def test_mail_is_whole(server: Server, mailbox: SmtpServer) -> None:
    server.sign_in("ada")
    mail = receive(mailbox, 1)
    assert (mail["From"], mail["To"]) == ("Chat <chat@example.org>", "ada@example.org")
    assert mail["Subject"] == "Confirm your e-mail address"
    assert re.fullmatch(r"<[0-9a-f-]{36}@example\.org>", mail["Message-ID"])
    assert mail["Auto-Submitted"] == "auto-generated"
    assert f"http://127.0.0.1:{server.port}/account/#verify=cp_" in read_text(mail)
    assert '<a href="http' in read_text(mail, "html")


@pytest.mark.parametrize(("reply", "to_sender"), [("451 Try again later", False), ("550 Not your address", True)])
def test_server_that_takes_nothing_now_gets_the_mail_later_and_once(
    server: Server, mailbox: SmtpServer, reply: str, to_sender: bool
) -> None:
    """A refused sender is the operator's to mend, and no reason to drop users' mails."""
    mailbox.answer(reply, to_sender=to_sender)
    server.sign_in("ada")
    wait_for(lambda: "mail cannot be sent now" in server.log())
    mailbox.answer(None, to_sender=to_sender)
    receive(mailbox, 1)
    server.sign_in("eve")
    assert receive(mailbox, 2)["To"] == "eve@example.org"
    assert len({mail["Message-ID"] for mail in mailbox.list_mails()}) == 2


def test_refused_recipient_holds_up_nobody(server: Server, mailbox: SmtpServer) -> None:
    mailbox.answer("550 No such user")
    server.sign_in("ada")
    wait_for(lambda: "mail was refused" in server.log())
    mailbox.answer(None)
    server.sign_in("eve")
    assert receive(mailbox, 1)["To"] == "eve@example.org"
    assert "ada@example.org" not in server.log()


def test_secrets_of_mails_are_in_no_log_and_in_no_table(server: Server, mailbox: SmtpServer) -> None:
    server.sign_in("ada")
    text = read_text(receive(mailbox, 1))
    (token,) = re.findall(r"#verify=(\S+)", text)
    (code,) = re.findall(r"\b\d{6}\b", text)
    assert server.call("POST", "/api/users/verify-email/", {"token": token})[0] == 204
    kept = b"".join(path.read_bytes() for path in server.folder.rglob("chatbot.db*"))
    for secret in (token, token[3:], code):
        assert secret not in server.log()
    assert token.encode() not in kept


def test_forgotten_password_is_reset_on_the_page(server: Server, mailbox: SmtpServer, browser: "Browser") -> None:
    server.sign_in("ada")
    verification = read_text(receive(mailbox, 1))
    page = browser.new_page()
    page.goto(re.findall(r"\S+#verify=\S+", verification)[0])
    assert "#" not in page.url
    page.get_by_role("button", name="This is my address").click()
    page.get_by_text("Your e-mail address is confirmed.").wait_for()
    page.goto(f"http://127.0.0.1:{server.port}/account")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_role("button", name="Send a mail").click()
    page.get_by_text("a mail is on its way").wait_for()
    link = re.findall(r"\S+#reset=\S+", read_text(receive_after_a_minute(server, mailbox)))[0]
    page.goto("about:blank")
    page.goto(link)
    page.get_by_label("New password").fill("password123")
    page.get_by_role("button", name="Set the password").click()
    page.get_by_text("Is too easy to guess.").wait_for()
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    page.get_by_text("Your password is set.").wait_for()
    page.close()
    said = {"email": "ada@example.org", "password": NEW}
    assert server.call("POST", "/api/users/login/", said)[0] == 200


def receive_after_a_minute(server: Server, mailbox: SmtpServer) -> EmailMessage:
    """Return the second mail to an account, which comes a minute after the first."""
    wait_for(lambda: len(mailbox.list_mails()) >= 2, 75)
    return mailbox.list_mails()[1]
