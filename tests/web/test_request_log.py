"""Every request has an id, headers and a log line."""

import pytest
from flask.testing import FlaskClient

from tests.conftest import MakeApp, Person


def test_sane_request_id_is_taken_over(client: FlaskClient) -> None:
    response = client.get("/api/chat-history/", headers={"X-Request-ID": "abc-123_DEF.456"})
    assert response.headers["X-Request-ID"] == response.get_json()["request_id"] == "abc-123_DEF.456"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "a b c d e f g", 'x"injected": 1'])
def test_other_request_ids_are_replaced(client: FlaskClient, given: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] != given
    assert len(response.headers["X-Request-ID"]) == 32


def test_answers_are_neither_sniffed_nor_kept(ada: Person) -> None:
    response = ada.call("GET", "/api/users/me/")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


PAGES = {
    "development": [("http://localhost:5173", True), ("http://localhost", True), ("http://127.0.0.1:3000", True),
                    ("https://localhost", False), ("http://localhost.evil.example", False), ("http://evil.example", False),
                    ("http://localhost:5173.evil.example", False), ("null", False)],
    "https://app.example.org": [("https://app.example.org", True), ("https://app.example.org.evil.example", False),
                                ("https://appxexample.org", False), ("http://app.example.org", False),
                                ("http://localhost:5173", False)],
    "*": [("https://anywhere.example", True)],
}  # fmt: skip


@pytest.mark.parametrize("setting", PAGES)
def test_only_exact_origins_may_call(make_app: MakeApp, setting: str) -> None:
    client = make_app(**({} if setting == "development" else {"CORS_ORIGINS": setting})).test_client()
    for origin, allowed in PAGES[setting]:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for response in (
            client.options("/api/chat/", headers=headers),
            client.get("/api/chat-history/", headers=headers),
        ):
            assert ("Access-Control-Allow-Origin" in response.headers) == allowed, origin


def test_production_lets_no_page_in(make_app: MakeApp) -> None:
    secrets = {"SECRET_KEY": "kD83hfLq0zPmWnXv71RtYbGc52AjSeUo", "JWT_SECRET_KEY": "Zq8vT5mK2pXw9nLrB4cJ7hYf3gDs6aEu"}
    app = make_app(**{"APP_ENV": "production", "BCRYPT_ROUNDS": "10", **secrets})
    response = app.test_client().get("/healthz", headers={"Origin": "http://localhost:3000"})
    assert "Access-Control-Allow-Origin" not in response.headers
