"""The API document and Swagger UI."""

import gzip
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from chatbot.schemas import problem


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


def test_generators_find_servers_headers_and_no_schema_without_use(client: FlaskClient) -> None:
    text = client.get("/api/openapi.json").get_data(as_text=True)
    document = json.loads(text)
    assert document["servers"][0]["url"] == "/"
    assert [name for name in document["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text] == []
    headers = {one["name"] for one in document["paths"]["/api/chat/"]["post"]["parameters"]}
    assert headers == {"Idempotency-Key", "Prefer", "Last-Event-ID", "reasoning"}
    stop = document["components"]["schemas"]["CompletionRequest"]["properties"]["stop"]
    assert all("items" in one for one in stop["oneOf"] if one["type"] == "array")


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
    "path", ["openapi.json", "docs/", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/start.js"]
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
