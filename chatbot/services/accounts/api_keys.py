"""API keys: credentials of programs, without login, with scopes and an end.

A secret is `ck_`, 40 random base62 characters and a checksum of 6: the CRC-32 of what is before it, in base62, by which
scanners of repositories know a key that was leaked (GitHub, "Behind GitHub's new authentication token formats").
The random part has 238 bits, so a fast hash of it is enough.
"""

import hashlib
import secrets
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database import keyset
from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.errors import Forbidden, InvalidInput, NotFound, TooManyApiKeys
from chatbot.models import ApiKey, User
from chatbot.observability import security_log
from chatbot.services import idempotency

from . import recent_logins
from .callers import Caller, Grant
from .state import get_accounts_state

PREFIX = "ck_"
SCOPES = ("chat", "history", "knowledge:read", "knowledge:write", "rooms", "v1", "analytics", "mint", "admin")
DEFAULT_LIFETIME = timedelta(days=90)
MAX_LIFETIME = timedelta(days=365)
MAX_API_KEYS_PER_USER = 100
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6
SECRET_LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """An API key as its owner sees it; `secret` is in the response that creates it, and never again."""

    id: UUID
    name: str
    scopes: list[str]
    prefix: str
    last4: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    budget_id: int | None = None
    secret: str | None = None


FIELDS = (
    ApiKey.id,
    ApiKey.name,
    ApiKey.scopes,
    ApiKey.prefix,
    ApiKey.last4,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
    ApiKey.budget_id,
)


def list_keys(caller: Caller, *, limit: int, after: keyset.Key | None = None) -> keyset.Page[IssuedKey]:
    """Return up to `limit` of the caller's keys by time, expired ones too until the purge takes them."""
    statement = sa.select(*FIELDS).where(ApiKey.user_id == caller.user_id, ~ApiKey.is_hidden)
    order = (ApiKey.created_at, ApiKey.id)
    with read() as connection:
        return keyset.fetch_page(connection, statement, IssuedKey, order=order, limit=limit, after=after)


def create(
    caller: Caller,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    insert_budget: Callable[[sa.Connection], int] | None = None,
    key: idempotency.Key | None = None,
) -> IssuedKey:
    """Create a key, with a budget if there is a function that inserts one, and return it with its secret.

    The same idempotency key again returns it without.

    Raises InvalidInput (an end that is past or too far away), Forbidden (the scope `admin` for another user than an
    administrator), ReauthenticationRequired (the same), TooManyApiKeys, IdempotencyKeyReused.
    """
    if "admin" in scopes and caller.role != "admin":
        raise Forbidden("Only an administrator's key can have the scope admin.")
    if insert_budget is not None and "rooms" in scopes:  # a room's bot answers later, for the user and not for a key
        raise InvalidInput({"budget": ["A key with the scope rooms has none of its own."]})
    moment = now()
    end = _require_end(moment, expires_at)

    def insert(connection: sa.Connection) -> IssuedKey:
        _require_recent_login_for(scopes, connection, caller)
        _require_below_limit(connection, caller)
        budget_id = insert_budget(connection) if insert_budget else None
        ordered = sorted(set(scopes), key=SCOPES.index)
        return _insert(connection, caller, name, ordered, lifetime=end - moment, budget_id=budget_id)

    issued = _issue_once(caller, insert, key)
    if issued.secret is not None:
        scope_names = " ".join(issued.scopes)
        security_log.record("api_key", "created", **caller.to_log_fields(), key=issued.id, scopes=scope_names)
    return issued


def create_client_token(
    user_id: UUID,
    scopes: Sequence[str],
    lifetime: timedelta,
    grant: Grant,
    *,
    insert_budget: Callable[[sa.Connection], int] | None = None,
) -> str:
    """Create a key of another account for a short time and return its secret; it reads granted collections alone."""
    grants = {"granted_by": grant.granted_by, "granted_ids": [str(one) for one in grant.collection_ids]}
    with write("create_client_token", contention_key=user_id) as connection:
        budget_id = insert_budget(connection) if insert_budget else None
        values = {"name": "client token", "is_hidden": True, "budget_id": budget_id, **grants}
        return insert_row(connection, user_id, scopes, lifetime, **values)[1]


def rotate(caller: Caller, key_id: UUID, *, overlap_seconds: int = 0, key: idempotency.Key | None = None) -> IssuedKey:
    """Create a key in the place of another and return it with its secret; the same idempotency key again without.

    It has the name, the scopes, the lifetime and the budget of the other, which opens things for `overlap_seconds`
    more. Raises NotFound (no key, or one that has expired), ReauthenticationRequired, TooManyApiKeys,
    IdempotencyKeyReused.
    """
    overlap = timedelta(seconds=overlap_seconds)

    def insert(connection: sa.Connection) -> IssuedKey:
        moment = now()
        owned = (ApiKey.id == key_id, ApiKey.user_id == caller.user_id, ApiKey.expires_at > moment)
        old = connection.execute(sa.select(*FIELDS).where(*owned).with_for_update()).one_or_none()
        if old is None:
            raise NotFound("There is no such API key.")
        _require_recent_login_for(old.scopes, connection, caller)
        if overlap:
            _require_below_limit(connection, caller)
            last = min(moment + overlap, old.expires_at)
            connection.execute(sa.update(ApiKey).where(ApiKey.id == key_id).values(expires_at=last))
        else:
            connection.execute(sa.delete(ApiKey).where(ApiKey.id == key_id))
        lifetime = old.expires_at - old.created_at
        return _insert(connection, caller, old.name, old.scopes, lifetime=lifetime, budget_id=old.budget_id)

    issued = _issue_once(caller, insert, key)
    get_accounts_state().credential_cache.invalidate(key_id)
    security_log.record("api_key", "rotated", **caller.to_log_fields(), key=key_id, successor=issued.id)
    return issued


def delete(caller: Caller, key_id: UUID) -> None:
    """Delete a key of the caller's; raises NotFound.

    It opens nothing any more: at once in this process, within `credential_cache.CREDENTIAL_CACHE_SECONDS` in others.
    """
    with write("delete_api_key") as connection:
        owned = (ApiKey.id == key_id, ApiKey.user_id == caller.user_id)
        if connection.execute(sa.delete(ApiKey).where(*owned)).rowcount != 1:
            raise NotFound("There is no such API key.")
    get_accounts_state().credential_cache.invalidate(key_id)
    security_log.record("api_key", "deleted", **caller.to_log_fields(), key=key_id)


def generate_secret() -> str:
    """Generate the secret of a new key."""
    body = PREFIX + "".join(secrets.choice(BASE62) for _ in range(RANDOM_LENGTH))
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Return whether a text has the form and the checksum of a secret; no other text is looked up."""
    body = secret[:-CHECKSUM_LENGTH]
    return len(secret) == SECRET_LENGTH and secret.isascii() and secret == body + _checksum(body)


def hash_secret(secret: str) -> bytes:
    """Return the hash of a secret that the database keeps."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(body: str) -> str:
    left = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        left, digit = divmod(left, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def _issue_once(caller: Caller, insert: Callable[[sa.Connection], IssuedKey], key: idempotency.Key | None) -> IssuedKey:
    """Issue a key once for an idempotency key; return it without its secret where it comes again."""
    try:
        with write("create_api_key", contention_key=caller.user_id) as connection:
            known = idempotency.find(connection, caller.user_id, key) if key else None
            if known:
                return _load(connection, caller, known)
            issued = insert(connection)
            if key:
                idempotency.store(connection, caller.user_id, key, thing_id=issued.id)
            return issued
    except IntegrityError:
        # A request with the same idempotency key came in the same moment.
        if idempotency.find_committed(caller.user_id, key) is None:
            raise
        return _issue_once(caller, insert, key)


def _insert(
    connection: sa.Connection,
    caller: Caller,
    name: str,
    scopes: Sequence[str],
    *,
    lifetime: timedelta,
    budget_id: int | None,
) -> IssuedKey:
    values = {"name": name, "budget_id": budget_id}
    key_id, secret = insert_row(connection, caller.user_id, scopes, lifetime, **values)
    return replace(_load(connection, caller, key_id), secret=secret)


def insert_row(
    connection: sa.Connection, user_id: UUID, scopes: Sequence[str], lifetime: timedelta, **values: Any
) -> tuple[UUID, str]:
    """Insert a key; returns its id and its secret."""
    secret = generate_secret()
    moment = now()
    key_id = uuid7()
    columns = {
        "id": key_id,
        "user_id": user_id,
        "secret_hash": hash_secret(secret),
        "prefix": secret[:8],
        "last4": secret[-4:],
        "scopes": list(scopes),
        "created_at": moment,
        "expires_at": moment + lifetime,
    }
    connection.execute(sa.insert(ApiKey).values({**columns, **values}))
    return key_id, secret


def _require_recent_login_for(scopes: Sequence[str], connection: sa.Connection, caller: Caller) -> None:
    """Raise ReauthenticationRequired for a key with an administrator's rights, as for the acts that it allows."""
    if "admin" in scopes:
        recent_logins.require(connection, caller)


def _require_end(moment: datetime, expires_at: datetime | None) -> datetime:
    if expires_at is None:
        return moment + DEFAULT_LIFETIME
    if not moment < expires_at <= moment + MAX_LIFETIME:
        raise InvalidInput({"expires_at": [f"Must be in the future, at most {MAX_LIFETIME.days} days away."]})
    return expires_at


def _require_below_limit(connection: sa.Connection, caller: Caller) -> None:
    """Raise TooManyApiKeys for a user at the limit; their row stays locked until the transaction ends."""
    connection.execute(sa.select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True)).all()
    counted = sa.select(sa.func.count()).where(ApiKey.user_id == caller.user_id)
    if (connection.scalar(counted) or 0) >= MAX_API_KEYS_PER_USER:
        raise TooManyApiKeys("Delete one before you make another.")


def _load(connection: sa.Connection, caller: Caller, key_id: UUID) -> IssuedKey:
    statement = sa.select(*FIELDS).where(ApiKey.id == key_id, ApiKey.user_id == caller.user_id)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("This API key was deleted.")
    return IssuedKey(**row._mapping)
