"""Mails by SMTP (RFC 5321), encrypted wherever the server is another machine."""

import ipaddress
import smtplib
import ssl
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
            with self._connect() as connection:
                connection.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            _raise_by_code(max(code for code, _ in error.recipients.values()), error)
        except smtplib.SMTPAuthenticationError as error:  # the operator's to mend
            raise MailUnavailable(f"The login was refused with {error.smtp_code}.") from error
        except smtplib.SMTPResponseException as error:
            _raise_by_code(error.smtp_code, error)
        except (smtplib.SMTPNotSupportedError, ValueError) as error:  # an address that it or a header cannot have
            raise MailRefused(type(error).__name__) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"{type(error).__name__} {getattr(error, 'strerror', None) or ''}".strip()) from error

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


def _raise_by_code(code: int, error: smtplib.SMTPException) -> None:
    """Raise MailRefused for a permanent reply, else MailUnavailable; its text may have the address in it."""
    kind = MailRefused if code >= PERMANENT else MailUnavailable
    raise kind(f"The reply was {code}.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
