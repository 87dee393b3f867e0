"""The AsyncAPI document of the sockets."""

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft7Validator

from chatbot.schemas.socket_events import NAMESPACES
from chatbot.sockets import chat, rooms
from tests.support.processes import ROOT

SPECIFICATION = ROOT / "tests/node/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"


def get_document(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/asyncapi.json").get_json()
    return document


@pytest.mark.slow  # needs npm's packages, which `make test-all` installs
def test_document_is_valid_asyncapi_3(shared_client: FlaskClient) -> None:
    assert SPECIFICATION.exists(), "run `make test-all`, which installs it"
    validator = Draft7Validator(json.loads(SPECIFICATION.read_text()))
    document = get_document(shared_client)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["operations"]["chat.receive.send"]["action"] = "publish"  # of version 2
    assert list(validator.iter_errors(document)) != []


def test_each_reference_leads_somewhere_and_each_schema_is_used(shared_client: FlaskClient) -> None:
    document = get_document(shared_client)
    targets = set(re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)))
    for target in targets:
        found: Any = document
        for part in target.split("/"):
            found = found[part]
    assert {f"components/schemas/{name}" for name in document["components"]["schemas"]} <= targets


def test_each_event_has_its_operation_with_a_reply(shared_client: FlaskClient) -> None:
    document = get_document(shared_client)
    assert {one["address"] for one in document["channels"].values()} == {"/rooms", "/chat"}
    operations = document["operations"]
    for address, namespace in NAMESPACES.items():
        name = address[1:]
        for event in namespace.client_events:
            replies = operations[f"{name}.receive.{event}"]["reply"]["messages"]
            assert [one["$ref"].rpartition("/")[2] for one in replies] == [f"{event}.reply", "problem"]
        assert {f"{name}.send.{event}" for event in namespace.server_events} <= operations.keys()


def test_each_event_of_clients_has_a_handler_and_the_other_way_round() -> None:
    handlers = {"/rooms": rooms.create_handlers, "/chat": chat.create_handlers}
    for address, create in handlers.items():
        given: list[Any] = [None] * create.__code__.co_argcount
        assert {*create(*given), "token"} == NAMESPACES[address].client_events.keys()
