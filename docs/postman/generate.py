"""Write the Postman collection and its environment from the OpenAPI document: `make docs`."""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import config  # noqa: E402 - found through the line above, as the next two
from chatbot import create_app  # noqa: E402 - likewise
from chatbot.extensions import api  # noqa: E402 - likewise

# In the order in which a newcomer tries them.
OPERATIONS = (
    ("post", "/api/users/signup/"),
    ("post", "/api/users/login/"),
    ("get", "/api/users/me/"),
    ("post", "/api/chat/"),
    ("get", "/api/chat/{turn_id}/"),
    ("get", "/api/chat-history/"),
    ("post", "/api/users/refresh/"),
    ("post", "/api/users/logout/"),
)
VARIABLES = {"email": "email", "username": "username", "password": "password", "password_confirm": "password",
             "refresh_token": "refreshToken"}  # fmt: skip
BEFORE = {
    "/api/users/signup/": [
        "const unique = Date.now();",
        "pm.environment.set('email', `ada.${unique}@example.com`);",
        "pm.environment.set('username', `ada.${unique}`);",
    ]
}
STORE_TOKENS = [
    "pm.environment.set('accessToken', body.access_token);",
    "pm.environment.set('refreshToken', body.refresh_token);",
]
AFTER = {
    "/api/users/signup/": [
        "pm.test('it is our account', () => pm.expect(body.email).to.eql(pm.environment.get('email')));"
    ],
    "/api/users/login/": STORE_TOKENS,
    "/api/users/refresh/": STORE_TOKENS,
    "/api/users/me/": [
        "pm.test('it is our account', () => pm.expect(body.email).to.eql(pm.environment.get('email')));"
    ],
    "/api/chat/": [
        "pm.environment.set('turnId', body.id);",
        "pm.test('the answer has text', () => pm.expect(body.bot_response).to.be.a('string').and.not.empty);",
        "pm.test('the turn has ended', () => pm.expect(['completed', 'truncated']).to.include(body.status));",
    ],
    "/api/chat/{turn_id}/": [
        "pm.test('it is that turn', () => pm.expect(body.id).to.eql(pm.environment.get('turnId')));"
    ],
    "/api/chat-history/": [
        "pm.test('the turn is listed', () =>",
        "    pm.expect(body.items.map((turn) => turn.id)).to.include(pm.environment.get('turnId')));",
    ],
}


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def example(document: dict[str, Any], operation: dict[str, Any]) -> str | None:
    """Return a request body made of the schema's examples and the environment's variables."""
    if "requestBody" not in operation:
        return None
    schema = resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
    body = {
        name: f"{{{{{VARIABLES[name]}}}}}" if name in VARIABLES else facts.get("example")
        for name, facts in schema["properties"].items()
        if name in schema["required"]
    }
    return json.dumps(body, indent=2)


def assertions(document: dict[str, Any], operation: dict[str, Any], path: str) -> list[str]:
    """Return the script that checks an answer against the document, then against the request."""
    status = min(operation["responses"])
    lines = [f"pm.test('status is {status}', () => pm.response.to.have.status({status}));"]
    if status == "204":
        return lines
    schema = resolve(document, operation["responses"][status]["content"]["application/json"]["schema"])
    required = json.dumps(sorted(schema["required"]))
    lines += [
        "const body = pm.response.json();",
        f"pm.test('it has its fields', () => pm.expect(body).to.include.keys({required}));",
    ]
    return lines + AFTER.get(path, [])


def item(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Return one request of the collection."""
    operation = document["paths"][path][method]
    url = "{{baseUrl}}" + path.replace("{turn_id}", "{{turnId}}")
    request: dict[str, Any] = {"method": method.upper(), "header": [], "url": url, "description": operation["summary"]}
    body = example(document, operation)
    if body is not None:
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    if not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    events = {"prerequest": BEFORE.get(path, []), "test": assertions(document, operation, path)}
    return {
        "name": operation["summary"].removesuffix("."),
        "request": request,
        "event": [
            {"listen": name, "script": {"type": "text/javascript", "exec": lines}}
            for name, lines in events.items()
            if lines
        ],
    }


def documents() -> dict[str, dict[str, Any]]:
    """Return both files by name."""
    create_app(config.load({"SECRET_KEY": "-" * 32, "JWT_SECRET_KEY": "-" * 32}, HERE / "no.env"))
    document = api.spec.to_dict()
    collection = {
        "info": {
            "name": document["info"]["title"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{accessToken}}", "type": "string"}]},
        "item": [item(document, method, path) for method, path in OPERATIONS],
    }
    values = {"baseUrl": "http://127.0.0.1:8000", "email": "", "username": "", "password": "correct horse battery",
              "accessToken": "", "refreshToken": "", "turnId": ""}  # fmt: skip
    environment = {
        "name": "Chatbot API, local",
        "values": [{"key": key, "value": value, "enabled": True} for key, value in values.items()],
    }
    return {"chatbot.postman_collection.json": collection, "local.postman_environment.json": environment}


if __name__ == "__main__":
    for name, content in documents().items():
        (HERE / name).write_text(json.dumps(content, indent=2) + "\n")
        print(f"Wrote {HERE.name}/{name}.")
