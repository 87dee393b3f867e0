"""The check of socket events against the AsyncAPI document finds faults."""

from typing import Any

import pytest

from chatbot.schemas.asyncapi import describe
from tests.support.socket_schemas import EVENT, REPLY, SocketSchemas

REMOVED = {"room_id": "01a22909-f233-768e-aa54-28e4c14d6dab"}
CLOSING = {"code": "draining", "reconnect": True, "after": 0.5}
PROBLEM = {"code": "not_found", "retryable": False}


@pytest.mark.parametrize(
    ("name", "kind", "data", "faults"),
    [
        pytest.param("removed", EVENT, REMOVED, 0, id="as documented"),
        pytest.param("removed", EVENT, {}, 1, id="field is missing"),
        pytest.param("removed", EVENT, {**REMOVED, "by": "ada"}, 1, id="field is not documented"),
        pytest.param("closing", EVENT, CLOSING, 0, id="closing"),
        pytest.param("closing", EVENT, {**CLOSING, "code": "bored"}, 1, id="code is not documented"),
        pytest.param("leave", REPLY, {}, 0, id="acknowledgement"),
        pytest.param("leave", REPLY, PROBLEM, 6, id="half a problem document"),
        pytest.param("kicked", EVENT, {}, 1, id="event is not documented"),
    ],
)
def test_faults_are_found(name: str, kind: str, data: Any, faults: int) -> None:
    assert len(SocketSchemas(describe()).find_faults("/rooms", name, kind, data)) == faults
