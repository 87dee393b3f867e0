"""Accounts of users of other services: made at first sight of an issuer and a subject, without a password."""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatbot.database.transactions import read, write
from chatbot.database.types import now, uuid7
from chatbot.models import ApiKey, ExternalIdentity, User
from chatbot.observability import security_log

from . import api_keys
from .closure import NO_PASSWORD

DOMAIN = "external.invalid"  # RFC 2606: no mail reaches it
LOGIN_SCOPES = ("chat", "history", "knowledge:read", "knowledge:write", "rooms", "v1")
MIN_LIFE = timedelta(days=1)  # of a login's key; before its end the next one takes its place


def find(issuer: str, subject: str) -> UUID | None:
    """Return the id of the account of a user of another service, None at first sight."""
    of_user = (ExternalIdentity.issuer == issuer, ExternalIdentity.subject == subject)
    with read() as connection:
        return connection.scalar(sa.select(ExternalIdentity.user_id).where(*of_user))


def find_or_create(issuer: str, subject: str) -> UUID:
    """Return the id of the account of a user of another service; the account is made where there is none."""
    known = find(issuer, subject)
    if known is not None:
        return known
    user_id = uuid7()
    name = f"external-{user_id.hex[-20:]}"
    address = f"{user_id.hex}@{DOMAIN}"
    account = {
        "id": user_id,
        "email": address,
        "email_key": address,
        "username": name,
        "username_key": name,
        "password_hash": NO_PASSWORD,
        "role": "user",
    }
    try:
        with write("create_external_account") as connection:
            connection.execute(sa.insert(User).values(account))
            identity = {"issuer": issuer, "subject": subject, "user_id": user_id}
            connection.execute(sa.insert(ExternalIdentity).values(identity))
    except IntegrityError:  # another request saw them in the same moment
        known = find(issuer, subject)
        if known is None:
            raise
        return known
    security_log.record("signup", "external", user_id=user_id)
    return user_id


def find_or_create_login(issuer: str, subject: str) -> UUID:
    """Return the id of the API key with the rights of a user's logins with tokens of an issuer."""
    user_id = find_or_create(issuer, subject)
    own = ExternalIdentity.user_id == user_id
    lives_on = ApiKey.expires_at > now() + MIN_LIFE
    current = sa.select(ApiKey.id).join(ExternalIdentity, ExternalIdentity.login_key_id == ApiKey.id)
    current = current.where(own, lives_on)
    with read() as connection:
        key_id = connection.scalar(current)
    if key_id is not None:
        return key_id
    with write("create_external_login", contention_key=user_id) as connection:
        connection.execute(sa.select(ExternalIdentity.user_id).where(own).with_for_update()).all()
        key_id = connection.scalar(current)
        if key_id is None:
            names = {"name": "login elsewhere", "is_hidden": True}
            key_id, _ = api_keys.insert_row(connection, user_id, LOGIN_SCOPES, api_keys.MAX_LIFETIME, **names)
            connection.execute(sa.update(ExternalIdentity).where(own).values(login_key_id=key_id))
    return key_id
