"""Which operations each scope of an API key opens."""

import itertools
import re
from uuid import UUID

import pytest
from flask import Flask

from tests.api.test_api_keys import ALL_SCOPES, make, use
from tests.conftest import Person

# The scope of each operation; None: a session alone opens it.
SCOPES: dict[tuple[str, str], str | None] = {
    ("GET", "/api/users/me/"): "any",
    ("PATCH", "/api/users/me/"): None,
    ("DELETE", "/api/users/me/"): None,
    ("POST", "/api/users/me/password/"): None,
    ("POST", "/api/users/logout/"): None,
    ("POST", "/api/users/me/email/"): None,
    ("POST", "/api/users/verify-email/resend/"): None,
    ("GET", "/api/users/sessions/"): None,
    ("DELETE", "/api/users/sessions/"): None,
    ("DELETE", "/api/users/sessions/{session_id}/"): None,
    ("GET", "/api/users/api-keys/"): None,
    ("POST", "/api/users/api-keys/"): None,
    ("POST", "/api/users/api-keys/{key_id}/rotate/"): None,
    ("DELETE", "/api/users/api-keys/{key_id}/"): None,
    ("POST", "/api/chat/"): "chat",
    ("GET", "/api/chat/{turn_id}/"): "chat",
    ("GET", "/api/chat/{turn_id}/events/"): "chat",
    ("GET", "/api/chat/{turn_id}/trace/"): "chat",
    ("POST", "/api/chat/{turn_id}/cancel/"): "chat",
    ("POST", "/api/chat/estimate/"): "chat",
    ("POST", "/api/chat/{turn_id}/regenerate/"): "chat",
    ("PUT", "/api/chat/{turn_id}/feedback/"): "chat",
    ("GET", "/api/chat-history/"): "history",
    ("DELETE", "/api/chat-history/"): "history",
    ("DELETE", "/api/chat-history/{turn_id}/"): "history",
    ("GET", "/api/conversations/"): "history",
    ("POST", "/api/conversations/"): "chat",
    ("GET", "/api/conversations/{conversation_id}/"): "history",
    ("PATCH", "/api/conversations/{conversation_id}/"): "chat",
    ("DELETE", "/api/conversations/{conversation_id}/"): "chat",
    ("GET", "/api/sync/"): "history",
    ("GET", "/api/sync/events/"): "history",
    ("POST", "/api/conversations/{conversation_id}/fork/"): "chat",
    ("POST", "/api/conversations/{conversation_id}/title/"): "chat",
    ("GET", "/api/conversations/{conversation_id}/shares/"): "history",
    ("GET", "/api/conversations/{conversation_id}/export/"): "history",
    ("POST", "/api/conversations/{conversation_id}/shares/"): "chat",
    ("DELETE", "/api/conversations/{conversation_id}/shares/{share_id}/"): "chat",
    ("POST", "/api/ui/chat/"): "chat",
    ("GET", "/api/ui/chat/{chat_id}/stream/"): "chat",
    ("POST", "/api/ui/chat/{chat_id}/stop/"): "chat",
    ("GET", "/api/collections/"): "knowledge:read",
    ("POST", "/api/collections/"): "knowledge:write",
    ("GET", "/api/collections/{collection_id}/"): "knowledge:read",
    ("PATCH", "/api/collections/{collection_id}/"): "knowledge:write",
    ("DELETE", "/api/collections/{collection_id}/"): "knowledge:write",
    ("GET", "/api/collections/{collection_id}/members/"): "knowledge:read",
    ("GET", "/api/collections/{collection_id}/members/{user_id}/"): "knowledge:read",
    ("PUT", "/api/collections/{collection_id}/members/{user_id}/"): "knowledge:write",
    ("DELETE", "/api/collections/{collection_id}/members/{user_id}/"): "knowledge:write",
    ("GET", "/api/invitations/"): "knowledge:read",
    ("POST", "/api/invitations/{invitation_id}/accept/"): "knowledge:write",
    ("DELETE", "/api/invitations/{invitation_id}/"): "knowledge:write",
    ("GET", "/api/documents/"): "knowledge:read",
    ("POST", "/api/documents/"): "knowledge:write",
    ("GET", "/api/documents/{document_id}/"): "knowledge:read",
    ("PUT", "/api/documents/{document_id}/"): "knowledge:write",
    ("DELETE", "/api/documents/{document_id}/"): "knowledge:write",
    ("GET", "/api/documents/{document_id}/events/"): "knowledge:read",
    ("GET", "/api/documents/{document_id}/chunks/"): "knowledge:read",
    ("POST", "/api/documents/{document_id}/retry/"): "knowledge:write",
    ("POST", "/api/search/"): "knowledge:read",
    ("GET", "/api/rooms/"): "rooms",
    ("POST", "/api/rooms/"): "rooms",
    ("GET", "/api/rooms/{room_id}/"): "rooms",
    ("PATCH", "/api/rooms/{room_id}/"): "rooms",
    ("DELETE", "/api/rooms/{room_id}/"): "rooms",
    ("GET", "/api/rooms/{room_id}/members/"): "rooms",
    ("PUT", "/api/rooms/{room_id}/members/{user_id}/"): "rooms",
    ("DELETE", "/api/rooms/{room_id}/members/{user_id}/"): "rooms",
    ("GET", "/api/rooms/{room_id}/invites/"): "rooms",
    ("POST", "/api/rooms/{room_id}/invites/"): "rooms",
    ("DELETE", "/api/rooms/{room_id}/invites/{invite_id}/"): "rooms",
    ("POST", "/api/rooms/join/"): "rooms",
    ("GET", "/api/rooms/{room_id}/messages/"): "rooms",
    ("POST", "/api/rooms/{room_id}/messages/"): "rooms",
    ("PATCH", "/api/rooms/{room_id}/messages/{message_id}/"): "rooms",
    ("DELETE", "/api/rooms/{room_id}/messages/{message_id}/"): "rooms",
    ("POST", "/api/rooms/{room_id}/messages/{message_id}/cancel/"): "rooms",
    ("PUT", "/api/rooms/{room_id}/read/"): "rooms",
    ("GET", "/api/rooms/{room_id}/changes/"): "rooms",
    ("GET", "/api/rooms/{room_id}/events/"): "rooms",
    ("GET", "/api/admin/users/"): "admin",
    ("PATCH", "/api/admin/users/{user_id}/"): "admin",
    ("POST", "/api/admin/users/{user_id}/sessions/end/"): "admin",
    ("GET", "/api/admin/turns/{turn_id}/"): "admin",
    ("GET", "/api/admin/turns/{turn_id}/trace/"): "admin",
    ("GET", "/api/admin/audit/"): "admin",
    ("GET", "/api/users/me/access-log/"): None,
    ("GET", "/api/users/me/budgets/"): "any",
    ("POST", "/api/users/client-tokens/"): "mint",
    ("GET", "/api/users/me/export/"): None,
    ("GET", "/api/analytics/usage/"): "analytics",
    ("GET", "/api/analytics/overview/"): "analytics",
    ("GET", "/api/analytics/users/"): "analytics",
    ("GET", "/api/analytics/models/"): "analytics",
    ("GET", "/api/analytics/errors/"): "analytics",
    ("GET", "/api/analytics/knowledge/"): "analytics",
    ("GET", "/api/analytics/feedback/"): "analytics",
    ("GET", "/api/analytics/turns/"): "analytics",
    ("GET", "/api/analytics/live/"): "analytics",
    ("GET", "/v1/models"): "v1",
    ("GET", "/v1/models/{name}"): "v1",
    ("POST", "/v1/chat/completions"): "v1",
    ("POST", "/v1/completions"): "v1",
    ("POST", "/v1/embeddings"): "v1",
}

REPORTS = ("overview", "users", "models", "errors", "knowledge", "feedback", "turns", "live")
FOR_ADMINISTRATORS = {("GET", f"/api/analytics/{name}/") for name in REPORTS}


def operations(app: Flask) -> set[tuple[str, str]]:
    document = app.test_client().get("/api/openapi.json").get_json()
    return {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters" and operation.get("security")
    }


def test_every_operation_with_a_login_is_in_the_table(shared_app: Flask) -> None:
    assert operations(shared_app) == set(SCOPES)


@pytest.fixture(scope="module")
def secrets(shared_ada: Person) -> dict[str, str]:
    return {scope: make(shared_ada, scope)["secret"] for scope in ALL_SCOPES}


@pytest.mark.parametrize(("operation", "scope"), list(itertools.product(SCOPES, ALL_SCOPES)), ids=str)
def test_scope_opens_its_operations_alone(
    shared_ada: Person, secrets: dict[str, str], operation: tuple[str, str], scope: str
) -> None:
    method, path = operation
    path = re.sub(r"\{\w+\}", str(UUID(int=7)), path)
    response = use(shared_ada, secrets[scope], method, path, {"unknown": 1} if method != "GET" else None)
    needed = SCOPES[operation]
    if needed == scope and operation in FOR_ADMINISTRATORS:
        assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")
    elif needed in {scope, "any"}:
        assert response.status_code in {200, 204, 400, 404, 415}
    else:
        assert response.status_code == 403
        assert "scope_missing" in response.get_data(as_text=True)
