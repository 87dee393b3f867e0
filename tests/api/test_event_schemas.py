"""Events as they are sent, each against the schema that the API document names after it."""

from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator, ValidationError

from chatbot.rag.errors import UpstreamIncomplete
from chatbot.rag.llms.memory import MemoryLLM
from tests.api.test_documents import HOURS, send, work
from tests.conftest import Person
from tests.support.turns import events

OF_TURN = {
    "turn": "TurnEvent",
    "citations": "CitationsEvent",
    "delta": "DeltaEvent",
    "reasoning": "ReasoningEvent",
    "done": "DoneEvent",
    "problem": "ErrorEvent",
    "error": "ErrorEvent",
}
OF_DOCUMENT = {"progress": "DocumentProgressEvent", "done": "DocumentDoneEvent", "error": "ErrorEvent"}


class Schemas:
    """The named schemas of the API document."""

    def __init__(self, app: Flask) -> None:
        self._components = app.test_client().get("/api/openapi.json").get_json()["components"]

    def validate(self, name: str, data: Any) -> None:
        """Raise ValidationError unless the data are as the schema of this name says."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": self._components}
        Draft202012Validator(schema).validate(data)


@pytest.fixture
def schemas(app: Flask) -> Schemas:
    return Schemas(app)


def test_events_of_a_turn_are_as_documented(app: Flask, ada: Person, llm: MemoryLLM, schemas: Schemas) -> None:
    send(ada, "Opening hours", HOURS)
    work(app)
    llm.says("The library is open from nine ", "to five on weekdays [1].")
    llm.fails(UpstreamIncomplete(), "Half", " an")
    answered = events(ada.says("When is the library open on weekdays?", stream=True))
    failed = events(ada.says("And on Sundays?", stream=True))
    met = {name for _, name, _ in (*answered, *failed)}
    assert met == {"turn", "citations", "delta", "done", "problem", "error"}
    for _, name, data in (*answered, *failed):
        schemas.validate(OF_TURN[name], data)
    with pytest.raises(ValidationError):
        schemas.validate("DoneEvent", failed[-1][2])


def test_events_of_a_document_are_as_documented(app: Flask, ada: Person, schemas: Schemas) -> None:
    document = send(ada, "Opening hours", HOURS)
    work(app)
    found = events(ada.call("GET", f"/api/documents/{document['id']}/events/"))
    assert [name for _, name, _ in found] == ["progress", "done"]
    for _, name, data in found:
        schemas.validate(OF_DOCUMENT[name], data)
