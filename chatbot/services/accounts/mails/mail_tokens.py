"""Tokens of mails: the links and codes by which their readers prove an e-mail address, each once.

Link and code are HMACs of the mail's id, so that each try of a mail has the same ones and the database has none. A
token is `cp_` + base64url(id, 32 bytes of HMAC); a code has six digits, lives for ten minutes and dies with the fifth
wrong guess.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.database.upserts import insert_or_update
from chatbot.errors import CodeWrong, TokenSpent
from chatbot.models import CodeGuess, Mail, MailToken, User
from chatbot.services.accounts import keys

LIFETIMES = {"reset": timedelta(minutes=30), "verification": timedelta(hours=24), "email_change": timedelta(hours=24)}
TAKING_OVER = ("reset", "email_change")
CODE_LIFETIME = timedelta(minutes=10)
MAX_GUESSES = 5
PER_HOUR = 5  # mails to one account
MIN_INTERVAL = timedelta(minutes=1)  # between two
TOKEN = re.compile(r"cp_[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True)
class Claim:
    """The proof that an address is this account's, for a kind of change."""

    id: UUID
    user_id: UUID
    kind: str
    email: str


FIELDS = (MailToken.id, MailToken.user_id, MailToken.kind, MailToken.email)


def find_allowed_time(connection: sa.Connection, user_id: UUID, token_id: UUID) -> datetime | None:
    """Return the time of the next mail that an account may get, None after too many of them."""
    statement = sa.select(sa.func.count(), sa.func.max(MailToken.created_at))
    others = (MailToken.user_id == user_id, MailToken.id != token_id, MailToken.created_at > now() - timedelta(hours=1))
    count, last = connection.execute(statement.where(*others)).one()
    if count >= PER_HOUR:
        return None
    return now() if last is None else last + MIN_INTERVAL


def issue(connection: sa.Connection, token_id: UUID, user_id: UUID, kind: str, email: str) -> dict[str, str]:
    """Store the token of a mail and return it with its code; its time begins anew with each try of the mail."""
    moment = now()
    values = {
        "id": token_id,
        "user_id": user_id,
        "kind": kind,
        "email": email,
        "created_at": moment,
        "code_expires_at": moment + CODE_LIFETIME,
        "expires_at": moment + LIFETIMES[kind],
    }
    times = ("created_at", "code_expires_at", "expires_at")
    dialect = connection.dialect.name
    connection.execute(insert_or_update(dialect, MailToken, key=("id",), replaced=times), values)
    connection.execute(sa.delete(CodeGuess).where(CodeGuess.key == _hash_owner(kind, user_id)))
    return {"token": make_token(token_id), "code": make_code(token_id)}


def find_by_token(token: str, kinds: Sequence[str]) -> Claim:
    """Return the claim of a link's token; raises TokenSpent for one that was used, has expired or is not ours."""
    if TOKEN.fullmatch(token):
        raw = base64.urlsafe_b64decode(token.removeprefix("cp_"))
        token_id = UUID(bytes=raw[:16])
        if any(hmac.compare_digest(raw[16:], _mac(key, b"token", token_id)) for key in keys.current_and_previous()):
            statement = sa.select(*FIELDS).where(*_are_open(kinds), MailToken.id == token_id)
            with read() as connection:
                row = connection.execute(statement).one_or_none()
            if row is not None:
                return Claim(**row._mapping)
    raise TokenSpent("The link was used already, has expired or is not whole.")


def find_by_code(owner: UUID | str, code: str, kinds: Sequence[str]) -> Claim:
    """Return the claim of a code; `owner` is the account, or a name without one.

    Raises CodeWrong, after the same work for each reason: the guess is counted in any case.
    """
    is_alive = _count_guess(_hash_owner(kinds[0], owner)) <= MAX_GUESSES
    owned = (*_are_open(kinds), MailToken.code_expires_at > now())
    newest = sa.select(*FIELDS).where(*owned, MailToken.user_id == (owner if isinstance(owner, UUID) else UUID(int=0)))
    with read() as connection:
        row = connection.execute(newest.order_by(MailToken.created_at.desc()).limit(1)).one_or_none()
    codes = [make_code(row.id if row else UUID(int=0), key) for key in keys.current_and_previous()]
    matches = [hmac.compare_digest(one.encode(), code.encode()) for one in codes]
    if row is None or not is_alive or not any(matches):
        raise CodeWrong("The code is wrong or has expired; ask for another mail.")
    return Claim(**row._mapping)


def spend(connection: sa.Connection, claim: Claim) -> None:
    """Spend a claim, and all of its kind of the account; raises TokenSpent for one that was spent meanwhile."""
    moment = now()
    own = (MailToken.user_id == claim.user_id, MailToken.kind == claim.kind, MailToken.spent_at.is_(None))
    spent = connection.scalars(sa.update(MailToken).where(*own).values(spent_at=moment).returning(MailToken.id)).all()
    if claim.id not in spent:
        raise TokenSpent("The link was used already, has expired or is not whole.")


def revoke(connection: sa.Connection, user_id: UUID) -> None:
    """Revoke the tokens by which an account could be taken over, after its password or its address was changed.

    Who knew the old password may have asked for another address, and who reads the old mailbox for another password.
    """
    open_tokens = (MailToken.user_id == user_id, MailToken.kind.in_(TAKING_OVER), MailToken.spent_at.is_(None))
    connection.execute(sa.update(MailToken).where(*open_tokens).values(spent_at=now()))
    connection.execute(sa.delete(Mail).where(Mail.user_id == user_id, Mail.kind.in_(TAKING_OVER)))


def make_token(token_id: UUID) -> str:
    """Return the token of a mail's link."""
    mac = _mac(keys.current(), b"token", token_id)
    return "cp_" + base64.urlsafe_b64encode(token_id.bytes + mac).decode()


def make_code(token_id: UUID, key: bytes | None = None) -> str:
    """Return the code of a mail: six digits."""
    mac = _mac(key or keys.current(), b"code", token_id)
    return f"{int.from_bytes(mac) % 1_000_000:06}"


def _are_open(kinds: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    is_enabled = sa.exists().where(User.id == MailToken.user_id, User.disabled_at.is_(None))
    return MailToken.kind.in_(kinds), MailToken.spent_at.is_(None), MailToken.expires_at > now(), is_enabled


def _count_guess(key: bytes) -> int:
    """Count a guess of a code; return the number of them in its lifetime."""
    moment = now()
    begun = {"key": key, "tries": 0, "expires_at": moment + CODE_LIFETIME}
    with write("count_code_guess") as connection:
        connection.execute(sa.delete(CodeGuess).where(CodeGuess.key == key, CodeGuess.expires_at <= moment))
        statement = insert_or_update(connection.dialect.name, CodeGuess, key=("key",), added=("tries",))
        return connection.execute(statement.returning(CodeGuess.tries), begun | {"tries": 1}).scalar_one()


def _hash_owner(kind: str, owner: UUID | str) -> bytes:
    use = "reset" if kind == "reset" else "verification"
    return hmac.digest(keys.current(), f"chatbot code guesses {use} {owner}".encode(), hashlib.sha256)


def _mac(key: bytes, purpose: bytes, token_id: UUID) -> bytes:
    return hmac.digest(key, b"chatbot mail " + purpose + b" " + token_id.bytes, hashlib.sha256)
