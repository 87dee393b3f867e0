"""Access tokens (JWT, 15 minutes) and refresh tokens (opaque, spent on use).

A refresh token is `cr_` + base64url(session id, 32 bytes of secret, 16 bytes of tag). The tag tells a token
that we made from a guess, so that only the reuse of a real one ends a session. The successor's secret is
HMAC(key, session id, presented token): for an answer that was lost it can be computed again.
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from flask import current_app
from flask_jwt_extended import create_access_token

from chatbot.errors import Unauthenticated

from . import keys

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)  # without a refresh
SESSION_LIFETIME = timedelta(days=365)  # however often it is refreshed
CLAIMS = {"sub": str, "sid": str, "jti": str, "type": str, "iss": str, "aud": str, "iat": int, "nbf": int, "exp": int}
PREFIX = "cr_"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid access token."""

    user_id: UUID
    session_id: UUID
    expires_at: int
    jti: str  # of the generation


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token and the session that it belongs to."""

    session_id: UUID
    token: str
    key: bytes  # under which it was made

    @property
    def hash(self) -> bytes:
        """The hash that the database keeps."""
        return _mac(self.key, "stored", self.token.encode())

    @property
    def jti(self) -> str:
        """The id that all access tokens of this generation have."""
        return _mac(self.key, "jti", self.token.encode()).hex()[:32]

    def successor(self) -> "Refresh":
        """Return the token that follows this one, always the same as long as the key is."""
        return self.successors()[0]

    def successors(self) -> "list[Refresh]":
        """Return the tokens that follow this one under the current key and under the previous ones."""
        facts = ("successor", self.session_id.bytes, self.token.encode())
        return [_refresh(self.session_id, _mac(key, *facts), key) for key in keys.current_and_previous()]


def new_refresh(session_id: UUID) -> Refresh:
    """Make a session's first refresh token."""
    return _refresh(session_id, secrets.token_bytes(32), keys.current())


def read_refresh(token: str) -> Refresh:
    """Return a refresh token that this server made; raises Unauthenticated for any other."""
    if not re.fullmatch(PREFIX + r"[A-Za-z0-9_-]{86}", token):
        raise Unauthenticated("This is not a refresh token.")
    raw = base64.urlsafe_b64decode(token.removeprefix(PREFIX) + "==")
    for key in keys.current_and_previous():
        made = _refresh(UUID(bytes=raw[:16]), raw[16:48], key)
        if hmac.compare_digest(made.token, token):
            return made
    raise Unauthenticated("This is not a refresh token.")


def access(user_id: UUID, refresh: Refresh, issued_at: datetime) -> str:
    """Return the access token that goes with a refresh token: the same for the same three values."""
    issued = int(issued_at.timestamp())
    claims = {
        "sid": str(refresh.session_id),
        "jti": refresh.jti,
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(ACCESS_LIFETIME.total_seconds()),
    }
    token: str = create_access_token(str(user_id), expires_delta=False, additional_claims=claims)
    return token


def read_access(token: str) -> Claims:
    """Check an access token, its header and every claim; raises Unauthenticated."""
    try:
        if jwt.get_unverified_header(token).keys() - {"alg", "typ"}:
            raise Unauthenticated("The access token is not valid.")
        claims = _decode(token)
        odd = any(type(claims[name]) is not kind for name, kind in CLAIMS.items())
        if odd or claims["type"] != "access" or claims["exp"] - claims["iat"] > ACCESS_LIFETIME.total_seconds():
            raise Unauthenticated("The access token is not valid.")
        return Claims(UUID(claims["sub"]), UUID(claims["sid"]), claims["exp"], claims["jti"])
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise Unauthenticated("The access token is not valid.") from error


def _decode(token: str) -> dict[str, Any]:
    # Not flask_jwt_extended.decode_token: it calls a token without `type` an access token.
    config = current_app.config
    return jwt.decode(
        token,
        config["JWT_SECRET_KEY"],
        algorithms=config["JWT_DECODE_ALGORITHMS"],
        audience=config["JWT_DECODE_AUDIENCE"],
        issuer=config["JWT_DECODE_ISSUER"],
        options={"require": list(CLAIMS)},
    )


def _refresh(session_id: UUID, secret: bytes, key: bytes) -> Refresh:
    tag = _mac(key, "tag", session_id.bytes, secret)[:16]
    text = base64.urlsafe_b64encode(session_id.bytes + secret + tag).rstrip(b"=").decode()
    return Refresh(session_id, PREFIX + text, key)


def _mac(key: bytes, purpose: str, *parts: bytes) -> bytes:
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *parts))
    return hmac.digest(key, b"chatbot refresh" + message, "sha256")
