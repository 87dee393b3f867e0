"""E-mail addresses: verified by a mail, and changed with the verification of the new one."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.errors import EmailTaken, InvalidCredentials, TokenSpent
from chatbot.models import User
from chatbot.observability import security_log
from chatbot.services.accounts import passwords
from chatbot.services.accounts.accounts import Account, load_account
from chatbot.services.accounts.callers import Caller
from chatbot.services.accounts.names import fold_name, refuse_unfoldable

from . import mail_tokens, outbox

KINDS = ("verification", "email_change")


def resend(caller: Caller) -> None:
    """Ask for another mail to verify the caller's address; raises MailOff."""
    outbox.require_mailer()
    with write("resend_verification") as connection:
        account = load_account(connection, caller.user_id)
        if not account.email_verified:
            outbox.add(connection, "verification", account.email, caller.user_id)


def request_change(caller: Caller, email: str, password: str) -> None:
    """Ask for a mail to a new address, which becomes the account's when it is verified.

    Raises MailOff, InvalidInput, InvalidCredentials (the password is wrong), Busy. That another account has the address
    already is told to its owner alone, when they verify it.
    """
    outbox.require_mailer()
    refuse_unfoldable(email=email)
    with read() as connection:
        stored = connection.scalar(sa.select(User.password_hash).where(User.id == caller.user_id))
    if not passwords.verify_password(password, stored):
        security_log.record("email", "failed", **caller.to_log_fields())
        raise InvalidCredentials("The password is wrong.")
    with write("request_email_change") as connection:
        outbox.add(connection, "email_change", email, caller.user_id)
    security_log.record("email", "requested", **caller.to_log_fields())


def verify_by_token(token: str) -> None:
    """Verify an address by the token of a link; raises TokenSpent, EmailTaken."""
    _apply(mail_tokens.find_by_token(token, KINDS))


def verify_by_code(caller: Caller, code: str) -> None:
    """Verify an address of the caller's by a code; raises CodeWrong, EmailTaken."""
    _apply(mail_tokens.find_by_code(caller.user_id, code, KINDS))


def _apply(claim: mail_tokens.Claim) -> None:
    """Make a verified address the account's."""
    values = {"email": claim.email, "email_key": fold_name(claim.email), "email_verified": True}
    try:
        with write("verify_email") as connection:
            mail_tokens.spend(connection, claim)
            account = load_account(connection, claim.user_id)
            if claim.kind == "email_change":
                connection.execute(sa.update(User).where(User.id == account.id).values(values))
                mail_tokens.revoke(connection, account.id)
                _tell_of_change(connection, account, claim.email)
            elif not _verify(connection, account, claim.email):
                raise TokenSpent("The account has another address now.")
    except IntegrityError as error:
        raise EmailTaken("This e-mail address is taken.") from error
    security_log.record("email", "verified", user_id=claim.user_id)


def _verify(connection: sa.Connection, account: Account, email: str) -> bool:
    statement = sa.update(User).where(User.id == account.id, User.email == email).values(email_verified=True)
    return connection.execute(statement).rowcount == 1


def _tell_of_change(connection: sa.Connection, account: Account, email: str) -> None:
    if account.email != email:
        outbox.add(connection, "email_changed", account.email, account.id)
