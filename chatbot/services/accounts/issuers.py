"""Tokens of foreign issuers, such as an OpenID Connect provider: JWTs that are checked with the issuer's public keys.

The keys are fetched by PyJWT's client, which does so again for an unknown key, now and then at most. An issuer whose
keys cannot be fetched holds nobody up: the keys that are known go on, and others are refused until the next try.
"""

import time
from collections.abc import Sequence
from typing import Any

import jwt
import structlog
from cachetools import LRUCache
from jwt import PyJWK, PyJWKClient, PyJWKClientConnectionError, PyJWKClientError

from chatbot.errors import Busy, Unauthenticated

REFRESH_SECONDS = 3600.0  # after which the keys are fetched again
FETCH_SECONDS = 3.0  # that a fetch may take
RETRY_SECONDS = 10.0  # after a fetch that failed, and between two for unknown keys
LEEWAY_SECONDS = 30  # of the issuer's clock
MAX_TOKENS = 10_000
MAX_SUBJECT_LENGTH = 255
REQUIRED = ["exp", "iss", "aud", "sub"]

log = structlog.get_logger(__name__)


class Issuer:
    """An issuer with its audience, its algorithm and its keys."""

    def __init__(self, name: str, audience: str, keys_url: str, algorithm: str) -> None:
        self.name = name
        self._audience = audience
        self._algorithm = algorithm
        self._client = PyJWKClient(
            keys_url, lifespan=REFRESH_SECONDS, timeout=FETCH_SECONDS, cooldown_duration=RETRY_SECONDS
        )
        self._known: dict[str, PyJWK] = {}
        self._failed_at: float | None = None

    def read(self, token: str) -> dict[str, Any]:
        """Return the claims of a valid token; raises Unauthenticated, Busy where its key cannot be fetched."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            if not isinstance(key_id, str):
                raise Unauthenticated("The token names no key.")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._find_key(key_id),
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self.name,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED},
            )
        except (jwt.InvalidTokenError, PyJWKClientError, ValueError, RecursionError) as error:
            raise Unauthenticated("The token is not valid.") from error
        if not 1 <= len(claims["sub"]) <= MAX_SUBJECT_LENGTH or "\0" in claims["sub"]:
            raise Unauthenticated("The token's subject is not valid.")
        return claims

    def _find_key(self, key_id: str) -> PyJWK:
        has_failed = self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_SECONDS
        if has_failed:
            return self._find_known_key(key_id)
        try:
            key = self._client.get_signing_key(key_id)
        except PyJWKClientConnectionError as error:
            self._failed_at = time.monotonic()
            log.warning("keys of an issuer not fetched", issuer=self.name, error=str(error))
            return self._find_known_key(key_id)
        except PyJWKClientError:  # the issuer has taken it back: no outage is to bring it back
            self._known.pop(key_id, None)
            raise
        self._failed_at = None
        self._known[key_id] = key
        return key

    def _find_known_key(self, key_id: str) -> PyJWK:
        key = self._known.get(key_id)
        if key is None:
            raise Busy("The keys of the token's issuer cannot be fetched.", retry_after=RETRY_SECONDS)
        return key


class Issuers:
    """The foreign issuers by their names, and the claims of tokens that were valid."""

    def __init__(self, settings: Sequence[tuple[str, str, str, str]]) -> None:
        self._issuers = {name: Issuer(name, *others) for name, *others in settings}
        self._claims: LRUCache[str, dict[str, Any]] = LRUCache(MAX_TOKENS)  # of tokens with a valid signature

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token of a foreign issuer; None for any other; raises Unauthenticated, Busy."""
        if not self._issuers:
            return None
        claims = self._claims.get(token)
        if claims is not None and claims["exp"] > time.time():
            return claims
        issuer = self._find(token)
        if issuer is None:
            return None
        claims = self._claims[token] = issuer.read(token)
        return claims

    def _find(self, token: str) -> Issuer | None:
        """Return the issuer that a token names, which nothing has proved yet."""
        try:
            name = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            return None
        return self._issuers.get(name) if isinstance(name, str) else None
