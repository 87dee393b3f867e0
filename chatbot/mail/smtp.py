"""Mails by SMTP (RFC 5321), encrypted wherever the server is another machine."""

import ipaddress
import smtplib
import ssl
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime, parseaddr
from urllib.parse import unquote, urlsplit

from .ports import Letter, MailRefused, MailUnavailable

TIMEOUT_SECONDS = 20.0  # of each step
PERMANENT = 500  # from this reply on, another try brings the same (RFC 5321, 4.2.1)
PORTS = {"smtp": 587, "smtps": 465}


class SmtpMailer:
    """Sends mails through `smtp://` (with STARTTLS) or `smtps://`, a connection for each."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._is_implicit = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        name, address = parseaddr(sender)
        self._sender = str(Address(name, addr_spec=address))
        self._domain = address.rpartition("@")[2]

    def send(self, letter: Letter) -> None:
        """Send a mail; raises MailUnavailable, MailRefused."""
        try:
            message = self._build(letter)
        except (MessageError, IndexError, ValueError) as error:
            raise MailRefused(f"No header can have the address: {type(error).__name__}.") from error
        try:
            with self._connect() as connection:
                _hand_over(connection, message)
        except (smtplib.SMTPException, OSError) as error:  # also of a login or a sender, which the operator has to mend
            raise MailUnavailable(_describe(error)) from error

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._is_implicit:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
            if not _is_loopback(self._host):
                connection.starttls(context=context)
        if self._user:
            connection.login(self._user, self._password)
        return connection

    def _build(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = str(Address(addr_spec=letter.recipient))
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = f"<{letter.id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # no answer from an absence (RFC 3834, 5)
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        return message


def _hand_over(connection: smtplib.SMTP, message: EmailMessage) -> None:
    """Give a mail to a server; raises MailRefused where it will never take it, smtplib.SMTPException."""
    try:
        connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        _raise_if_permanent(max(code for code, _ in error.recipients.values()), error)
    except smtplib.SMTPDataError as error:
        _raise_if_permanent(error.smtp_code, error)
    except smtplib.SMTPNotSupportedError as error:  # of an address beyond ASCII
        raise MailRefused(_describe(error)) from error


def _raise_if_permanent(code: int, error: smtplib.SMTPException) -> None:
    """Raise MailRefused for a permanent reply, else MailUnavailable."""
    kind = MailRefused if code >= PERMANENT else MailUnavailable
    raise kind(f"{type(error).__name__} {code}") from error


def _describe(error: Exception) -> str:
    """Return an error's kind with its code; the server's words may have the address in them."""
    facts = getattr(error, "smtp_code", None) or getattr(error, "strerror", None) or ""
    return f"{type(error).__name__} {facts}".strip()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
