"""Mails to accounts: added in the transactions of changes, and sent by a job until the server has them.

A mail names its kind and its recipient alone; its text is made at each try. A request for a mail so does the same for
an address that no account has: the job finds out, where nobody waits for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
import structlog
from flask import current_app

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import MailOff
from chatbot.mail.ports import Letter, MailRefused, MailUnavailable
from chatbot.models import Mail, User
from chatbot.services.accounts.names import fold_name
from chatbot.services.accounts.state import get_accounts_state

from . import mail_tokens

Kind = Literal["reset", "verification", "email_change", "email_changed", "password_changed", "session_ended"]
CLAIM_PERIOD = timedelta(minutes=2)  # after which another try is made of what a process did not end
FIRST_BACKOFF = timedelta(seconds=10)  # doubled with each try
MAX_BACKOFF = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """A mail to be tried by this process."""

    id: UUID
    kind: Kind
    recipient: str
    user_id: UUID | None
    created_at: datetime
    tries: int


def require_mailer() -> None:
    """Raise MailOff without a mailer."""
    if get_accounts_state().mailer is None:
        raise MailOff("This service sends no mails.")


def add(connection: sa.Connection, kind: Kind, recipient: str, user_id: UUID | None = None) -> None:
    """Add a mail to the outbox in the transaction of a change; nothing without a mailer."""
    if get_accounts_state().mailer is not None:
        values = {"id": uuid7(), "kind": kind, "recipient": recipient, "user_id": user_id}
        connection.execute(sa.insert(Mail).values(values))


def send_waiting() -> None:
    """Send the due mails, until the server takes none."""
    while (mail := _claim()) is not None:
        if not _send(mail):
            return


def _claim() -> WaitingMail | None:
    """Claim a due mail for a while and return it."""
    moment = now()
    due = sa.select(Mail.id).where(Mail.due_at <= moment)
    with read() as connection:
        if connection.scalar(due.limit(1)) is None:
            return None
    oldest = due.order_by(Mail.due_at).limit(1).with_for_update(skip_locked=True).scalar_subquery()
    claim = sa.update(Mail).where(Mail.id == oldest).values(due_at=moment + CLAIM_PERIOD, tries=Mail.tries + 1)
    columns = (Mail.id, Mail.kind, Mail.recipient, Mail.user_id, Mail.created_at, Mail.tries)
    with write("claim_mail") as connection:
        row = connection.execute(claim.returning(*columns)).one_or_none()
    return None if row is None else WaitingMail(**row._mapping)


def _send(mail: WaitingMail) -> bool:
    """Send a mail, or give it up; return False where the server takes none now."""
    mailer = get_accounts_state().mailer
    try:
        letter = _compose(mail)
        if isinstance(letter, datetime):
            _postpone(mail, letter)
            return True
        if letter is not None and mailer is not None:
            mailer.send(letter)
    except MailUnavailable as error:
        moment = now()
        if moment - mail.created_at < GIVE_UP_AFTER:
            log.warning("mail cannot be sent now", detail=str(error), tries=mail.tries)
            _postpone(mail, moment + min(FIRST_BACKOFF * 2 ** min(mail.tries - 1, 10), MAX_BACKOFF))
            return False
        log.error("mail was given up", kind=mail.kind, detail=str(error))
    except MailRefused as error:
        log.error("mail was refused", kind=mail.kind, detail=str(error))
    with write("forget_mail") as connection:
        connection.execute(sa.delete(Mail).where(Mail.id == mail.id))
    return True


def _postpone(mail: WaitingMail, due_at: datetime) -> None:
    with write("postpone_mail") as connection:
        connection.execute(sa.update(Mail).where(Mail.id == mail.id).values(due_at=due_at))


def _compose(mail: WaitingMail) -> Letter | datetime | None:
    """Return a mail with its text, the time of its next try where its account has to wait, or None for no mail."""
    secrets: Mapping[str, str] = {}
    with write("compose_mail") as connection:
        account = _find_account(connection, mail)
        if account is None or _is_superseded(connection, mail):
            return None
        # Never to the address that a caller typed: its folded form may be the account's, and its mailbox another's.
        recipient = account.email if mail.kind in {"reset", "verification"} else mail.recipient
        if mail.kind in mail_tokens.LIFETIMES:
            allowed_at = mail_tokens.find_allowed_time(connection, account.id, mail.id)
            if allowed_at is None or allowed_at > now():
                return allowed_at
            secrets = mail_tokens.issue(connection, mail.id, account.id, mail.kind, recipient)
    page = current_app.config["ACCOUNT_URL"]
    values = {"username": account.username, "account_url": page, **secrets}
    if "token" in secrets:
        values["link"] = f"{page}#{'reset' if mail.kind == 'reset' else 'verify'}={secrets['token']}"
    subject, text, html = get_accounts_state().templates.render(mail.kind, values)
    return Letter(str(mail.id), recipient, subject, text, html)


def _find_account(connection: sa.Connection, mail: WaitingMail) -> sa.Row[UUID, str, str] | None:
    found = User.id == mail.user_id if mail.user_id else User.email_key == fold_name(mail.recipient)
    statement = sa.select(User.id, User.email, User.username).where(found, User.disabled_at.is_(None))
    return connection.execute(statement).one_or_none()


def _is_superseded(connection: sa.Connection, mail: WaitingMail) -> bool:
    """Return whether the same mail was asked for again since: one of them is enough."""
    if mail.kind not in mail_tokens.LIFETIMES:
        return False
    same = (Mail.kind == mail.kind, Mail.recipient == mail.recipient, Mail.id > mail.id)
    return connection.scalar(sa.select(Mail.id).where(*same).limit(1)) is not None
