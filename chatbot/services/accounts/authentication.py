"""Authenticate credentials, the same for every entry point."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.errors import EmailUnverified, Forbidden, ScopeMissing, SessionEnded, Unauthenticated
from chatbot.models import ApiKey, Budget, Session, User

from . import api_keys, external_identities, tokens
from .callers import Caller, Grant
from .closure import NO_PASSWORD
from .state import get_accounts_state

KEY_FIELDS = (
    ApiKey.id,
    ApiKey.user_id,
    ApiKey.scopes,
    ApiKey.expires_at,
    ApiKey.budget_id,
    ApiKey.granted_by,
    ApiKey.granted_ids,
)
ANY_SCOPE = "any"  # of a route that each API key opens
HAS_BUDGETS = sa.exists().where(Budget.user_id == User.id, ~Budget.is_of_key).correlate(User).label("has_budgets")

# Accounts of other services have no address of theirs.
IS_UNVERIFIED = sa.and_(~User.email_verified, User.password_hash != NO_PASSWORD).label("is_unverified")


def authenticate(credential: str) -> Caller:
    """Return the caller of an access token, of one of a foreign issuer, or of an API key.

    Raises Unauthenticated unless it is valid, its session open and its user enabled.
    """
    if credential.startswith(api_keys.PREFIX):
        return _authenticate_api_key(credential)
    state = get_accounts_state()
    is_new = credential not in state.access_claims
    if is_new and (foreign := state.issuers.read(credential)) is not None:
        return _authenticate_foreign(foreign)
    claims = _read_access(credential)
    caller = state.credential_cache.get(claims.session_id) or _look_up_session(claims.session_id)
    if caller.user_id != claims.user_id or caller.scopes is not None:
        raise Unauthenticated("The access token is not valid.")
    if is_new:
        state.uses.generations.add((claims.session_id, claims.jti))
    return caller


def find_expiry(credential: str) -> float | None:
    """Return when an access token expires, in seconds since 1970; None for an API key, which lives for days.

    Raises Unauthenticated.
    """
    if credential.startswith(api_keys.PREFIX):
        return None
    foreign = get_accounts_state().issuers.read(credential)
    return float(_read_access(credential).expires_at if foreign is None else foreign["exp"])


def find_ended(callers: Sequence[Caller]) -> set[UUID]:
    """Return the credentials of some callers that have ended: sessions, API keys, or their accounts were disabled."""
    sessions = [one.credential_id for one in callers if one.scopes is None]
    keys = [one.credential_id for one in callers if one.scopes is not None]
    is_enabled = User.disabled_at.is_(None)
    open_sessions = sa.select(Session.id).join(User, User.id == Session.user_id)
    open_sessions = open_sessions.where(Session.ended_at.is_(None), Session.expires_at > now(), is_enabled)
    open_keys = sa.select(ApiKey.id).join(User, User.id == ApiKey.user_id)
    with read() as connection:
        still_open = set(connection.scalars(open_sessions.where(Session.id.in_(sessions)))) if sessions else set()
        if keys:
            still_open |= set(connection.scalars(open_keys.where(ApiKey.id.in_(keys), *_is_key_open())))
    return {*sessions, *keys} - still_open


def require_scope(caller: Caller, scope: str | None) -> None:
    """Raise ScopeMissing unless the caller is in a session or their API key has the scope; None: no key has it.

    Raises EmailUnverified for all but the routes of the account itself.
    """
    if caller.scopes is not None and scope not in caller.scopes | {ANY_SCOPE}:
        raise ScopeMissing(f"This needs the scope {scope}." if scope else "This needs a login; no API key can do it.")
    if caller.is_unverified and scope not in {None, ANY_SCOPE}:
        raise EmailUnverified("Verify your e-mail address first; POST /api/users/verify-email/resend/ sends a mail.")


def require_admin(caller: Caller) -> None:
    """Raise Forbidden unless the caller has the rights of an administrator; an API key needs its scope for them."""
    if caller.role != "admin":
        raise Forbidden("Only an administrator may do this.")


def require_open(caller: Caller) -> Caller:
    """Return the caller as they are now; raises Unauthenticated when their session or API key has ended.

    The database is asked each time. Streams look now and then: with the age of a cached credential on top they would go
    on for too long.
    """
    if caller.scopes is None:
        return _look_up_session(caller.credential_id)
    return _look_up_api_key(ApiKey.id == caller.credential_id)


def require_account(caller: Caller) -> None:
    """Raise Unauthenticated when the caller's account is gone, which a cached credential outlives by moments.

    After an IntegrityError: the database refuses rows of a user that is not there.
    """
    with read() as connection:
        is_there = connection.scalar(sa.select(User.id).where(User.id == caller.user_id)) is not None
    if not is_there:
        invalidate(caller.credential_id)
        raise Unauthenticated("The account was deleted.")


def invalidate(credential_id: UUID) -> None:
    """Let the database be asked about a credential at its next request."""
    get_accounts_state().credential_cache.invalidate(credential_id)


def _read_access(token: str) -> tokens.Claims:
    """Return the claims of an access token; a signature that was valid once stays valid, and only expiry is checked."""
    cache = get_accounts_state().access_claims
    claims: tokens.Claims | None = cache.get(token)
    if claims is None or claims.expires_at <= time.time():
        claims = tokens.read_access(token)
        cache[token] = claims
    return claims


def _authenticate_api_key(secret: str) -> Caller:
    if not api_keys.is_well_formed(secret):
        raise Unauthenticated("This is not an API key.")
    secret_hash = api_keys.hash_secret(secret)
    cache = get_accounts_state().credential_cache
    key_id = cache.api_key_ids.get(secret_hash)
    if key_id is None:
        caller = _look_up_api_key(ApiKey.secret_hash == secret_hash)
        cache.api_key_ids[secret_hash] = caller.credential_id
        return caller
    return cache.get(key_id) or _look_up_api_key(ApiKey.id == key_id)


def _authenticate_foreign(claims: Mapping[str, Any]) -> Caller:
    """Return the caller of a foreign token, with the rights of the key that stands for the user's login."""
    state = get_accounts_state()
    identity = (claims["iss"], claims["sub"])
    key_id = state.foreign_logins.get(identity)
    caller = None if key_id is None else state.credential_cache.get(key_id)
    if caller is None:  # asked for each time: the key that was known may have expired, or its account be erased
        key_id = state.foreign_logins[identity] = external_identities.find_or_create_login(*identity)
        caller = _look_up_api_key(ApiKey.id == key_id)
    return caller


def _look_up_session(session_id: UUID) -> Caller:
    statement = (
        sa.select(Session.user_id, User.role, Session.expires_at, HAS_BUDGETS, IS_UNVERIFIED)
        .join(User, User.id == Session.user_id)
        .where(
            Session.id == session_id,
            Session.ended_at.is_(None),
            Session.expires_at > now(),
            User.disabled_at.is_(None),
        )
    )
    caller = _load_caller(statement, partial(_read_session_caller, session_id))
    if caller is None:
        raise SessionEnded("The session has ended.")
    get_accounts_state().uses.sessions.add(session_id)
    return caller


def _look_up_api_key(condition: sa.ColumnElement[bool]) -> Caller:
    statement = (
        sa.select(*KEY_FIELDS, User.role, HAS_BUDGETS, IS_UNVERIFIED)
        .join(User, User.id == ApiKey.user_id)
        .where(condition, *_is_key_open())
    )
    caller = _load_caller(statement, _read_key_caller)
    if caller is None:
        raise Unauthenticated("The API key has expired or was deleted.")
    get_accounts_state().uses.api_keys.add(caller.credential_id)
    return caller


def _is_key_open() -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions on keys that open anything: a client token ends with the account that it was made by."""
    grantor = aliased(User)
    has_grantor = sa.exists().where(grantor.id == ApiKey.granted_by, grantor.disabled_at.is_(None))
    may_grant = sa.or_(ApiKey.granted_by.is_(None), has_grantor.correlate(ApiKey))
    return ApiKey.expires_at > now(), User.disabled_at.is_(None), may_grant


def _load_caller(statement: sa.Select[*tuple[Any, ...]], build: Callable[[Any], Caller]) -> Caller | None:
    """Read a caller and cache it, unless they are about to verify their address; return None where there is none."""
    cache = get_accounts_state().credential_cache
    generation = cache.generation
    with read() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    caller = build(row)
    if row.is_unverified and current_app.config["REQUIRE_VERIFIED_EMAIL"]:
        return replace(caller, is_unverified=True)
    cache.add(caller, generation, row.expires_at)
    return caller


def _read_session_caller(session_id: UUID, row: sa.Row[*tuple[Any, ...]]) -> Caller:
    return Caller(row.user_id, session_id, row.role, has_budgets=row.has_budgets)


def _read_key_caller(row: sa.Row[*tuple[Any, ...]]) -> Caller:
    """Return the caller of an API key; an administrator's rights need their scope."""
    scopes = frozenset(row.scopes)
    role = row.role if "admin" in scopes else "user"
    has_budgets = row.has_budgets or row.budget_id is not None
    grant = None if row.granted_by is None else Grant(row.granted_by, tuple(map(UUID, row.granted_ids)))
    return Caller(row.user_id, row.id, role, scopes, has_budgets=has_budgets, budget_id=row.budget_id, grant=grant)
