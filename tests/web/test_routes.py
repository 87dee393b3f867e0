"""Rules for every route, generated from the existing routes."""

import re
from uuid import uuid4

import pytest
from flask import Flask

from chatbot.extensions import api
from tests.api.test_auth import log_in
from tests.api.test_documents import send, work
from tests.conftest import Person
from tests.support.roles import promote

OPEN = {
    "users.sign_up", "users.log_in", "users.refresh", "health.get_health", "health.get_readiness", "metrics.get_metrics",
    "shares.get_shared", "docs.get_document", "docs.get_asyncapi_document", "docs.get_page", "docs.get_file", "home.get_home",
    "mail_tokens.request_password_reset", "mail_tokens.confirm_password_reset", "mail_tokens.verify_email",
    "account.get_page", "account.get_file", "privacy.get_erasure",
    "console.get_page", "console.get_file", "console.get_vendor_file",
}  # fmt: skip
PAGES = ("docs.", "home.", "account.", "console.")
MAY_REFUSE = {
    "users.log_in",
    "users.refresh",
    "mail_tokens.verify_email",
    "metrics.get_metrics",
}  # open, and not to everybody
BODIES = {
    "chat.send_message": {"message": "Hi"},
    "chat.estimate_message": {"message": "Hi"},
    "chat.regenerate_turn": {},
    "chat.give_feedback": {"rating": 1},
    "conversations.create_conversation": {"title": "Canary"},
    "conversations.change_conversation": {"title": "Another"},
    "shares.create_share": {"expires_in": 60},
    "ui_stream.send_ui_message": {"id": "x", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
    "client_tokens.create_client_token": {"subject": "user-1"},
    "api_keys.rotate_api_key": {"overlap_seconds": 60},
    "administration.change_user": {"disabled": True},
    "users.change_me": {"username": "another"},
    "collections.create_collection": {"name": "Another"},
    "collections.change_collection": {"name": "Other"},
    "collections.put_member": {"role": "reader"},
    "documents.create_document": {"title": "T", "text": "Text."},
    "documents.replace_document": {"title": "T", "text": "Other text."},
    "search.search": {"query": "x"},
    "rooms.create_room": {"name": "Canary"},
    "rooms.change_room": {"topic": "Canary"},
    "room_members.put_room_member": {"role": "reader"},
    "room_members.join_room": {"token": "x"},
    "room_messages.post_room_message": {"text": "canary"},
    "room_messages.edit_room_message": {"text": "another canary"},
    "room_messages.mark_room_read": {"seq": 1},
}


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """Return (endpoint, method, path) of every route."""
    return [
        (rule.endpoint, method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint != "static"
    ]


def filled(path: str, identity: str) -> str:
    return re.sub(r"<[^>]+>", identity, path)


def test_there_is_no_static_folder_and_no_unlisted_open_route(app: Flask) -> None:
    known = {endpoint for endpoint, _, _ in routes(app)}
    assert known >= OPEN
    assert "static" not in {rule.endpoint for rule in app.url_map.iter_rules()}


def test_without_credential_every_route_but_the_open_ones_is_401(app: Flask) -> None:
    client = app.test_client()
    for endpoint, method, path in routes(app):
        status = client.open(filled(path, str(uuid4())), method=method, json=BODIES.get(endpoint)).status_code
        assert (status == 401) == (
            endpoint not in OPEN or (endpoint in {"users.log_in", "users.refresh"} and status == 401)
        )


def test_after_logout_every_route_but_the_open_ones_is_401(app: Flask, ada: Person) -> None:
    ada.call("POST", "/api/users/logout/")
    for endpoint, method, path in routes(app):
        if endpoint not in OPEN:
            assert ada.call(method, filled(path, str(uuid4())), BODIES.get(endpoint)).status_code == 401


@pytest.fixture
def things(app: Flask, ada: Person, eve: Person) -> dict[str, str]:
    """Let Ada have one of each thing with an id; the name of its place in a path, and the id."""
    home = ada.call("POST", "/api/collections/", {"name": "Canary"}).get_json()["id"]
    ada.call("PUT", f"/api/collections/{home}/members/{ada.id}/", {"role": "reader"})
    others = [eve.call("POST", "/api/collections/", {"name": name}).get_json()["id"] for name in ("a", "b")]
    for other in others:
        eve.call("PUT", f"/api/collections/{other}/members/{ada.id}/", {"role": "reader"})
    shared = ada.says("a shared canary").get_json()["conversation_id"]
    room, deleted_room = (ada.call("POST", "/api/rooms/", {"name": "Canary"}).get_json()["id"] for _ in range(2))
    share = ada.call("POST", f"/api/conversations/{shared}/shares/", {}).get_json()["id"]
    return {
        "conversation_id": shared,
        "share_id": share,
        "invitation_id": others[0],
        "/api/invitations/<uuid:invitation_id>/": others[1],  # which she declines after she accepted the first
        "turn_id": ada.says("canary").get_json()["id"],
        "/api/conversations/<uuid:conversation_id>/": ada.says("another canary").get_json()["conversation_id"],
        "document_id": send(ada, "Canary", "canary", collection_id=home)["id"],
        "collection_id": home,
        "user_id": ada.id,
        "/api/chat-history/<uuid:turn_id>/": ada.says("a third canary").get_json()["id"],
        "room_id": room,
        "/api/rooms/<uuid:room_id>/": deleted_room,
        "invite_id": ada.call("POST", f"/api/rooms/{room}/invites/").get_json()["id"],
        "message_id": ada.call("POST", f"/api/rooms/{room}/messages/", {"text": "canary"}).get_json()["id"],
        "session_id": open_other_session(ada),
        "key_id": ada.call("POST", "/api/users/api-keys/", {"name": "Canary", "scopes": ["chat"]}).get_json()["id"],
    }


def open_other_session(person: Person) -> str:
    """Log in on another device; return the session's id."""
    log_in(person.client)
    sessions = person.call("GET", "/api/users/sessions/").get_json()["items"]
    other: str = next(one["id"] for one in sessions if not one["current"])
    return other


def test_somebody_elses_id_is_as_absent_as_a_random_one(
    app: Flask, ada: Person, eve: Person, things: dict[str, str]
) -> None:
    # Administrators' routes are forbidden whatever the id: tests/api/test_administration.py.
    owned = [one for one in routes(app) if "<uuid:" in one[2] and one[0] not in OPEN]
    in_scope = [one for one in owned if not one[2].startswith("/api/admin/")]
    with_ids = [(method, path, BODIES.get(endpoint)) for endpoint, method, path in in_scope]
    assert len(with_ids) >= 15
    work(app)
    # What deletes comes last, and a collection after all that is in it.
    home = "/api/collections/<uuid:collection_id>/"
    for method, path, body in sorted(with_ids, key=lambda one: (one[0] == "DELETE", one[1] == home)):
        names = re.findall(r"<uuid:(\w+)>", path)
        answers = []
        for identity in (things[names[0]], str(uuid4())):
            there = re.sub(r"<uuid:\w+>", things["user_id"], path.replace(f"<uuid:{names[0]}>", identity))
            response = eve.call(method, there, body)
            problem = response.get_json()
            assert (response.status_code, problem.pop("instance")) == (404, there)
            problem.pop("request_id")
            answers.append((problem, sorted(response.headers.keys())))
        assert answers[0] == answers[1]
        own = re.sub(r"<uuid:(\w+)>", lambda found: things.get(path) or things[found[1]], path)
        assert ada.call(method, own, body).status_code in {200, 201, 202, 204, 409}, (method, own)


def test_no_body_with_an_unknown_field_is_taken(app: Flask, ada: Person) -> None:
    writing = [one for one in routes(app) if one[1] in {"POST", "PUT", "PATCH"} and one[2].startswith("/api/")]
    assert len(writing) >= 25
    for endpoint, method, path in writing:
        if endpoint != "ui_stream.send_ui_message":  # the page's own fields may stand beside ours
            body = {**BODIES.get(endpoint, {}), "no_such_field": 1}
            response = ada.call(method, filled(path, str(uuid4())), body)
            errors = response.get_json().get("errors", {})
            assert (response.status_code, errors.get("no_such_field")) == (400, ["Unknown field."]), (method, path)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}])
def test_route_without_fields_takes_no_body_and_an_empty_object(ada: Person, headers: dict[str, str]) -> None:
    path = f"/api/chat/{uuid4()}/cancel/"
    assert ada.call("POST", path, headers=headers).status_code == 404
    assert ada.call("POST", path, {}).status_code == 404


def query_parameters(app: Flask) -> list[tuple[str, str, str, str]]:
    """Return (endpoint, method, path, name) of every parameter in a query."""
    document = api.spec.to_dict()
    found = []
    for endpoint, method, path in routes(app):
        operation = document["paths"].get(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path), {}).get(method.lower(), {})
        names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
        found += [(endpoint, method, path, name) for name in names]
    return found


def test_no_parameter_of_a_query_is_taken_twice(app: Flask, ada: Person) -> None:
    found = query_parameters(app)
    assert len(found) >= 30
    for endpoint, method, path, name in found:
        response = ada.call(method, f"{filled(path, str(uuid4()))}?{name}=1&{name}=1", BODIES.get(endpoint))
        errors = response.get_json().get("errors", {})
        assert (response.status_code, list(errors)) == (400, [name]), (method, path, response.get_json())


def test_each_list_is_read_in_pages(app: Flask) -> None:
    document = api.spec.to_dict()
    lists = []
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "next_cursor" in document["components"]["schemas"].get(name, {}).get("properties", {}):
            lists.append(path)
    named = {(path, name) for _, method, path, name in query_parameters(app) if method == "GET"}
    assert len(lists) >= 10
    for path in lists:
        of_path = {name for one, name in named if re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", one) == path}
        assert of_path >= {"limit", "since" if path == "/api/sync/" else "cursor"}, path


def test_unknown_parameters_of_a_query_are_ignored_as_the_document_says(app: Flask, ada: Person) -> None:
    assert "ignored" in api.spec.to_dict()["info"]["description"]
    promote(app, ada)
    for endpoint, method, path in routes(app):
        if method == "GET" and "<" not in path and not endpoint.endswith(("changes", "get_metrics")):
            once = ada.call(method, f"{path}?page=2&page=3")
            assert once.status_code == ada.call(method, path).status_code == 200, path


def test_wrong_method_is_405_with_the_right_ones(ada: Person) -> None:
    response = ada.call("DELETE", "/api/chat/")
    assert (response.status_code, response.get_json()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/", "/api/chat/not-a-uuid/", "/api/nothing/", "/static/x", "/api/chat/\0/"]
)
def test_unknown_path_is_a_404_problem(ada: Person, path: str) -> None:
    response = ada.call("GET", path)
    assert (response.status_code, response.get_json()["code"]) == (404, "not_found")
    assert response.content_type == "application/problem+json"


def test_every_route_of_the_api_is_documented_with_its_problems(app: Flask) -> None:
    document = api.spec.to_dict()
    for endpoint, method, path in routes(app):
        if endpoint.startswith(PAGES):
            continue
        operation = document["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)][method.lower()]
        assert operation["summary"].endswith(".")
        assert ("401" in operation["responses"]) == (endpoint not in OPEN - MAY_REFUSE)
        assert bool(operation.get("security")) == (endpoint not in OPEN)
