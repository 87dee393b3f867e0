"""Refused requests leave no garbage that holds the body until the next collection."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from marshmallow import ValidationError

from chatbot.errors import InvalidInput
from chatbot.schemas.room_messages import NewRoomMessageSchema
from chatbot.sockets import problems
from chatbot.sockets.handshakes import PATH
from tests.conftest import Person


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def list_kept() -> list[Any]:
    return [one for one in gc.get_objects() if isinstance(one, ValidationError)]


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("path", ["/api/chat/", "/api/documents/", "/api/rooms/"])
def test_refused_body_is_not_kept(ada: Person, path: str) -> None:
    assert ada.call("POST", path, {"no such field": "x" * 1_000}).status_code == 400
    assert list_kept() == []


@pytest.mark.usefixtures("no_collection")
def test_refused_event_is_not_kept() -> None:
    with pytest.raises(InvalidInput):
        problems.load(NewRoomMessageSchema(), {"text": 1})
    assert list_kept() == []


def test_request_of_an_event_meets_no_error_of_routing(app: Flask) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    with app.test_request_context(PATH, headers=upgrade) as entered:
        assert entered.request.routing_exception is None
        assert entered.request.endpoint == "sockets"
