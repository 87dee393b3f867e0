"""The API document and Swagger UI."""

import gzip
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from chatbot.schemas import problem
from chatbot.web.blueprint import Blueprint
from tests.conftest import MakeApp


def test_document_is_valid_openapi_31(client: FlaskClient) -> None:
    document = client.get("/api/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_document_names_the_fixed_endpoints(client: FlaskClient) -> None:
    paths = client.get("/api/openapi.json").get_json()["paths"]
    assert {"/api/users/signup/", "/api/users/login/", "/api/chat/", "/api/chat-history/"} <= set(paths)


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation for path in document["paths"].values() for method, operation in path.items() if method != "parameters"
    ]


def test_each_operation_has_a_name_of_its_own(client: FlaskClient) -> None:
    names = [operation["operationId"] for operation in operations(client.get("/api/openapi.json").get_json())]
    assert len(set(names)) == len(names) >= 43
    assert {"signUp", "logIn", "sendMessage", "listTurns", "followTurn", "createDocument", "search"} <= set(names)


def test_generators_find_servers_descriptions_headers_and_no_schema_without_use(client: FlaskClient) -> None:
    text = client.get("/api/openapi.json").get_data(as_text=True)
    document = json.loads(text)
    assert document["servers"][0]["url"] == "/"
    assert "problem documents" in document["info"]["description"]
    assert [name for name in document["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text] == []
    for operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        assert all(parameter["description"] for parameter in operation.get("parameters", ()))
    for path in ("/api/chat/", "/api/chat/{turn_id}/regenerate/"):
        headers = {one["name"] for one in document["paths"][path]["post"]["parameters"]}
        assert headers == {"Idempotency-Key", "Prefer", "Last-Event-ID", "reasoning"}
    stop = document["components"]["schemas"]["CompletionRequest"]["properties"]["stop"]
    assert all("items" in one for one in stop["oneOf"] if one["type"] == "array")


def test_each_parameter_of_a_path_is_described(shared_client: FlaskClient) -> None:
    paths = shared_client.get("/api/openapi.json").get_json()["paths"]
    described = {
        (path, one["name"]): one.get("description")
        for path, operations in paths.items()
        for holder in (operations, *(operations[name] for name in operations.keys() - {"parameters"}))
        for one in holder.get("parameters", ())
        if one["in"] == "path"
    }
    assert described.keys() == {(path, name) for path in paths for name in re.findall(r"{(\w+)}", path)}
    assert [place for place, description in described.items() if not description] == []


def test_description_says_which_credential_is_needed(client: FlaskClient) -> None:
    paths = client.get("/api/openapi.json").get_json()["paths"]
    last = {
        path: paths[path][method]["description"].splitlines()[-1]
        for path, method in (("/api/chat/", "post"), ("/api/users/me/", "get"), ("/api/users/logout/", "post"),
                             ("/api/users/login/", "post"))
    }  # fmt: skip
    assert last == {
        "/api/chat/": "Needs an access token or an API key with the scope `chat`.",
        "/api/users/me/": "Needs an access token or an API key.",
        "/api/users/logout/": "Needs an access token; no API key will do.",
        "/api/users/login/": "Needs no credential.",
    }


TURN_EVENTS = {"TurnEvent", "CitationsEvent", "DeltaEvent", "ReasoningEvent", "DoneEvent", "ErrorEvent"}
DOCUMENT_EVENTS = {"DocumentProgressEvent", "DocumentDoneEvent", "ErrorEvent"}


@pytest.mark.parametrize(
    ("path", "method", "whole", "events"),
    [
        ("/api/chat/", "post", "Turn", TURN_EVENTS),
        ("/api/chat/{turn_id}/regenerate/", "post", "Turn", TURN_EVENTS),
        ("/api/chat/{turn_id}/events/", "get", None, TURN_EVENTS),
        ("/api/documents/{document_id}/events/", "get", None, DOCUMENT_EVENTS),
        ("/v1/chat/completions", "post", "Completion", {"CompletionChunk", "OpenAIError"}),
        ("/v1/completions", "post", "Completion", {"CompletionChunk", "OpenAIError"}),
    ],
)
def test_streams_have_a_media_type_of_their_own_with_named_events(
    shared_client: FlaskClient, path: str, method: str, whole: str | None, events: set[str]
) -> None:
    document = shared_client.get("/api/openapi.json").get_json()
    content = document["paths"][path][method]["responses"]["200"]["content"]
    stream = content.pop("text/event-stream")["schema"]
    *named, whole_stream = stream["anyOf"]
    assert {one["$ref"].rpartition("/")[2] for one in named} == events
    assert whole_stream["type"] == "string"
    assert events <= set(document["components"]["schemas"])
    json_schema = {"schema": {"$ref": f"#/components/schemas/{whole}"}}
    assert content == ({"application/json": json_schema} if whole else {})


def test_operations_are_described_on_first_use(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    describe = Blueprint.register_views_in_doc

    def count(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        describe(*args, **options)

    monkeypatch.setattr(Blueprint, "register_views_in_doc", count)
    client = make_app().test_client()
    assert calls == 0
    client.get("/api/openapi.json")
    described = calls
    client.get("/api/openapi.json")
    assert calls == described > 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html"),
        ("start.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("favicon-32x32.png", "image/png"),
    ],
)
def test_swagger_ui_comes_from_this_machine(client: FlaskClient, name: str, kind: str) -> None:
    response = client.get(f"/api/docs/{name}")
    assert (response.status_code, response.mimetype) == (200, kind)
    response.close()
    if not name:
        assert "http" not in response.text
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ["../__init__.py", "%2e%2e/__init__.py", "nothing.js", "..\\__init__.py", "/etc/passwd"]
)
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/api/docs/{name}").status_code == 404


def test_type_of_each_problem_leads_to_its_line_of_the_page(client: FlaskClient) -> None:
    met = client.get("/api/chat-history/").get_json()
    page, anchor = met["type"].split("#")
    lines = client.get(page).text.splitlines()
    assert anchor == "unauthenticated"
    schemas = client.get("/api/openapi.json").get_json()["components"]["schemas"]
    codes = schemas["Problem"]["properties"]["code"]["enum"]
    assert set(codes) == set(problem.BY_CODE)
    for code in codes:
        (line,) = (line for line in lines if line.startswith(f"<tr id={code}>"))
        assert problem.BY_CODE[code].title in line


@pytest.mark.parametrize(
    "path",
    ["openapi.json", "asyncapi.json", "docs/", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/start.js"],
)
def test_documents_are_packed_and_sent_once(shared_client: FlaskClient, path: str) -> None:
    plain = shared_client.get(f"/api/{path}")
    packed = shared_client.get(f"/api/{path}", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert (plain.content_encoding, packed.content_encoding) == (None, "gzip")
    assert gzip.decompress(packed.data) == plain.data
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for first, encoding in ((plain, "identity"), (packed, "gzip")):
        headers = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": encoding}
        again = shared_client.get(f"/api/{path}", headers=headers)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert shared_client.get(f"/api/{path}", headers={"Accept-Encoding": "gzip;q=0"}).content_encoding is None
    assert "no-store" not in plain.headers["Cache-Control"]


def test_body_without_a_required_field_is_not_required(shared_client: FlaskClient) -> None:
    """A POST without it is accepted then: only a schema that has to be told one of two fields refuses it."""
    document = shared_client.get("/api/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    wrong = set()
    for item in document["paths"].values():
        body = item.get("post", {}).get("requestBody", {})
        schema = body.get("content", {}).get("application/json", {}).get("schema", {})
        required = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema).get("required")
        if schema and not required and body.get("required"):
            wrong.add(item["post"]["operationId"])
    assert wrong == {"verifyEmail", "createDocument"}
