"""Administrators of tests."""

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.models import User
from chatbot.services.accounts.callers import OPERATOR
from chatbot.services.accounts.state import get_accounts_state
from chatbot.services.administration import users

if TYPE_CHECKING:
    from tests.conftest import Person


def promote(app: Flask, person: "Person") -> None:
    """Give a person the role of an administrator, from their next request on."""
    with app.app_context():
        with write("test") as connection:
            connection.execute(sa.update(User).where(User.id == UUID(person.id)).values(role="admin"))
        get_accounts_state().credential_cache.clear()


def disable(email: str) -> None:
    """Disable an account, as the operator does."""
    users.change_user(OPERATOR, users.find_user_id(email), disabled=True)
