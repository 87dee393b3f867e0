"""The keys of SECRET_KEY and SECRET_KEY_PREVIOUS: the first one signs, all of them verify."""

from flask import current_app


def current() -> bytes:
    """Return the key of all that is made now."""
    return str(current_app.config["SECRET_KEY"]).encode()


def current_and_previous() -> list[bytes]:
    """Return the keys that verify, the current one first."""
    return [current(), *(secret.encode() for secret in current_app.config["SECRET_KEY_PREVIOUS"])]
