"""Reset of a forgotten password: a mail, then its link or its code."""

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import TokenSpent
from chatbot.models import Session, User
from chatbot.observability import security_log
from chatbot.services.accounts import authentication, passwords
from chatbot.services.accounts.names import fold_name

from . import mail_tokens, outbox

KINDS = ("reset",)


def request(email: str) -> None:
    """Ask for a mail to an account, the same work where there is none; raises MailOff."""
    outbox.require_mailer()
    with write("request_reset") as connection:
        outbox.add(connection, "reset", email)
    security_log.record("reset", "requested", account=security_log.hash_account_name(fold_name(email)))


def confirm_by_token(token: str, new_password: str) -> None:
    """Set a new password by the token of a link; every session ends.

    Raises TokenSpent, InvalidInput (a common password), Busy.
    """
    _set_password(mail_tokens.find_by_token(token, KINDS), new_password)


def confirm_by_code(email: str, code: str, new_password: str) -> None:
    """Set a new password by a code; every session ends. Raises CodeWrong, InvalidInput (a common password), Busy."""
    with read() as connection:
        user_id = connection.scalar(sa.select(User.id).where(User.email_key == fold_name(email)))
    _set_password(mail_tokens.find_by_code(user_id or fold_name(email), code, KINDS), new_password)


def _set_password(claim: mail_tokens.Claim, new_password: str) -> None:
    with read() as connection:
        statement = sa.select(User.email, User.username).where(User.id == claim.user_id, User.disabled_at.is_(None))
        account = connection.execute(statement).one_or_none()
    if account is None:
        raise TokenSpent("The account is not open.")
    passwords.refuse_common(new_password, account.email, account.username, field="new_password")
    values = {"password_hash": passwords.hash_password(new_password)}
    with write("reset_password") as connection:
        mail_tokens.spend(connection, claim)
        mail_tokens.revoke(connection, claim.user_id)
        connection.execute(sa.update(User).where(User.id == claim.user_id).values(values))
        is_verified = (User.id == claim.user_id, User.email == claim.email)
        connection.execute(sa.update(User).where(*is_verified).values(email_verified=True))
        is_open = (Session.user_id == claim.user_id, Session.ended_at.is_(None))
        ending = sa.update(Session).where(*is_open).values(ended_at=now())
        ended = connection.scalars(ending.returning(Session.id)).all()
        outbox.add(connection, "password_changed", account.email, claim.user_id)
    for session_id in ended:
        authentication.invalidate(session_id)
    security_log.record("reset", "changed", user_id=claim.user_id, sessions_ended=len(ended))
