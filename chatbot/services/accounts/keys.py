"""The keys that SECRET_KEY and SECRET_KEY_PREVIOUS give: the first one makes what is new, the others still check."""

from flask import current_app


def current() -> bytes:
    """Return the key of all that is made now."""
    return str(current_app.config["SECRET_KEY"]).encode()


def current_and_previous() -> list[bytes]:
    """Return the keys under which what was made before is still good, the current one first."""
    return [current(), *(secret.encode() for secret in current_app.config["SECRET_KEY_PREVIOUS"])]
