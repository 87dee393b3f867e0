"""Turns as they are shown."""

import gc
from datetime import UTC, datetime
from uuid import uuid4

from chatbot.schemas.chat import TurnSchema
from chatbot.services.chat.records import Turn

TURN = Turn(uuid4(), uuid4(), "Hi", datetime.now(UTC), status="completed", prompt_tokens=3, completion_tokens=4)


def test_turn_that_was_shown_leaves_memory_at_once() -> None:
    """A dict that held itself kept the texts of every page until the garbage collector came."""
    schema = TurnSchema()
    schema.dump(TURN)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            schema.dump(TURN)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_usage_and_error_are_grouped() -> None:
    shown = TurnSchema().dump(TURN)
    assert shown["usage"] == {"prompt_tokens": 3, "completion_tokens": 4}
    assert "error" not in shown
    interrupted = Turn(uuid4(), uuid4(), "Hi", datetime.now(UTC), status="interrupted")
    assert TurnSchema().dump(interrupted)["error"]["code"] == "interrupted"
