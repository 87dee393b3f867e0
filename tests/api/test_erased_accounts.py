"""Requests with a cached credential of an account that is gone."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import write
from chatbot.models import User
from tests.conftest import Person

pytestmark = pytest.mark.both_databases

REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/api/chat/", {"message": "hi"}),
    ("POST", "/api/conversations/", {}),
    ("POST", "/api/conversations/", {"external_id": "x"}),
    ("POST", "/api/documents/", {"title": "a", "text": "b c d"}),
    ("POST", "/api/collections/", {"name": "x"}),
    ("GET", "/api/collections/", None),
    ("GET", "/api/users/me/", None),
    ("PATCH", "/api/users/me/", {"username": "grace"}),
    ("POST", "/api/users/api-keys/", {"name": "k", "scopes": ["chat"]}),
    ("POST", "/v1/chat/completions", {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hi"}]}),
]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["", "key"])
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_credential_of_an_erased_account_is_refused(
    app: Flask, ada: Person, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    assert ada.call("GET", "/api/users/me/").status_code == 200  # the credential is cached now
    with app.app_context(), write("test") as connection:
        connection.execute(sa.delete(User).where(User.id == UUID(ada.id)))
    answer = ada.call(method, path, body, headers=headers)
    assert answer.status_code == 401
    assert "account was deleted" in answer.get_data(as_text=True)
    assert ada.call("GET", "/api/users/me/").status_code == 401
