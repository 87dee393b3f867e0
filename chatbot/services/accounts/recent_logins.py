"""Recent logins: sensitive acts need one, since a session may be a device that was left open."""

from datetime import timedelta

import sqlalchemy as sa

from chatbot.database.types import now
from chatbot.errors import ReauthenticationRequired
from chatbot.models import Session

from .callers import OPERATOR, Caller

MAX_LOGIN_AGE = timedelta(minutes=10)


def require(connection: sa.Connection, caller: Caller) -> None:
    """Raise ReauthenticationRequired where the login of a session is over `MAX_LOGIN_AGE` ago.

    API keys need none: one with the scope `admin` is made after a recent login.
    """
    if caller.scopes is not None or caller is OPERATOR:
        return
    is_recent = (Session.id == caller.credential_id, Session.created_at > now() - MAX_LOGIN_AGE)
    if connection.scalar(sa.select(Session.id).where(*is_recent)) is None:
        raise ReauthenticationRequired("Log in again, and send this within ten minutes.")
