"""Bounds on one user's open requests, streams and turns."""

from uuid import UUID

import pytest

from chatbot.web import admission
from tests.conftest import MakeApp, join


@pytest.mark.parametrize("path", ["/api/chat-history/", "/api/collections/", "/api/documents/", "/api/invitations/"])
def test_few_pages_of_a_user_are_made_at_a_time(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    app = make_app(RATELIMIT_ENABLED="true")
    ada = join(app.test_client(), "ada")
    eve = join(app.test_client(), "eve")
    monkeypatch.setattr(admission, "MAX_WAIT_SECONDS", 0.05)
    pages = app.extensions[admission.KEY].pages
    user_id = UUID(ada.id)
    for _ in range(admission.MAX_PAGES_PER_USER):
        assert pages.acquire(user_id, 0)
    refused = ada.call("GET", path)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_requests_at_once")
    assert eve.call("GET", path).status_code == 200
    pages.release(user_id)
    answers = [
        ada.call("GET", path) for _ in range(2)
    ]  # not read to their ends: the first is made, and waits for no one
    assert [answer.status_code for answer in answers] == [200, 200]
