"""Client tokens: credentials that a customer's server makes for its own users, for minutes.

A token is an API key of the user's account with the scopes of a chat, a short life, and perhaps a budget. Its user
reads those collections of the customer's that it names, and no others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read
from chatbot.errors import NotFound
from chatbot.models import Collection
from chatbot.services.accounts import api_keys, external_identities
from chatbot.services.accounts.callers import Caller, Grant

from .permissions import may_read

SCOPES = ("chat", "history")
ISSUER = "urn:chatbot:user:"  # in front of the customer's id


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A token for one user of a customer."""

    token: str
    expires_in: int  # seconds
    user_id: UUID


def find_user(caller: Caller, subject: str) -> UUID | None:
    """Return the id of the account of a subject, the customer's own name of a user; None at first sight."""
    return external_identities.find(_name_issuer(caller), subject)


def create_user(caller: Caller, subject: str) -> UUID:
    """Return the id of the account of a subject, which is made where there is none."""
    return external_identities.find_or_create(_name_issuer(caller), subject)


def build_grant(caller: Caller, collection_ids: Sequence[UUID]) -> Grant:
    """Return a grant of collections that the customer may read; raises NotFound for others."""
    grant = Grant(caller.user_id, tuple(dict.fromkeys(collection_ids)))
    readable = sa.select(sa.func.count()).where(may_read(caller), Collection.id.in_(grant.collection_ids))
    with read() as connection:
        if grant.collection_ids and connection.scalar(readable) != len(grant.collection_ids):
            raise NotFound("There is no such collection.")
    return grant


def mint(
    user_id: UUID,
    grant: Grant,
    expires_in: int,
    *,
    insert_budget: Callable[[sa.Connection], int] | None = None,
) -> ClientToken:
    """Make a token for an account, for `expires_in` seconds."""
    lifetime = timedelta(seconds=expires_in)
    secret = api_keys.create_client_token(user_id, SCOPES, lifetime, grant, insert_budget=insert_budget)
    return ClientToken(secret, expires_in, user_id)


def _name_issuer(caller: Caller) -> str:
    return f"{ISSUER}{caller.user_id}"
