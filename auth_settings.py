"""Settings of logins elsewhere. As `config`, this module imports nothing of the application."""

from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, post_load

from bounds import setting

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
HINT = "must read like 'https://login.example.org|my-api|https://login.example.org/keys|ES256'"


class AuthSettings(Schema):
    """The settings of foreign issuers."""

    AUTH_JWKS = setting(
        fields.String,
        "",
        "Accepts tokens of others: ISSUER|AUDIENCE|URL of its keys[|ALGORITHM, RS256 by default], ...",
    )

    @post_load
    def read_issuers(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Turn the list of issuers into their names, audiences, addresses and algorithms."""
        issuers: dict[str, tuple[str, str, str, str]] = {}
        for item in filter(None, (part.strip() for part in data["AUTH_JWKS"].split(","))):
            issuer, audience, url, algorithm = _read_issuer(item)
            if issuer in issuers:
                raise ValidationError({"AUTH_JWKS": [f"{issuer!r} is there twice."]})
            if data["APP_ENV"] == "production" and not url.startswith("https://"):
                raise ValidationError({"AUTH_JWKS": ["In production keys come over https."]})
            issuers[issuer] = (issuer, audience, url, algorithm)
        return data | {"AUTH_JWKS": tuple(issuers.values())}


def _read_issuer(item: str) -> tuple[str, str, str, str]:
    parts = [part.strip() for part in item.split("|")]
    if len(parts) == 3:
        parts.append(ALGORITHMS[0])
    if len(parts) != 4 or not all(parts):
        raise ValidationError({"AUTH_JWKS": [f"{item!r} {HINT}."]})
    issuer, audience, url, algorithm = parts
    is_url = url.startswith(("https://", "http://")) and urlsplit(url).hostname
    is_issuer = len(issuer) <= 255 and not issuer.startswith("urn:chatbot:")  # the names of our own
    if not is_url or not is_issuer or algorithm not in ALGORITHMS:
        raise ValidationError({"AUTH_JWKS": [f"{item!r} {HINT}."]})
    return issuer, audience, url, algorithm
