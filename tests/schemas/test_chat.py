"""Turns as they are shown."""

import gc
import weakref
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from chatbot.schemas.chat import TurnSchema
from chatbot.services.chat.records import Turn

TURN = Turn(uuid4(), uuid4(), "Hi", datetime.now(UTC), status="completed", prompt_tokens=3, completion_tokens=4)


class Text(str):
    """A text to which a weak reference can be made."""


def test_turn_that_was_shown_leaves_memory_at_once() -> None:
    """A dict that held itself kept the texts of every page until the garbage collector came."""
    gc.disable()
    try:
        text = Text("Hi")
        reference = weakref.ref(text)
        turn = replace(TURN, user_message=text)
        TurnSchema().dump(turn)
        del turn, text
        assert reference() is None
    finally:
        gc.enable()


def test_usage_and_error_are_grouped() -> None:
    shown = TurnSchema().dump(TURN)
    assert shown["usage"] == {"prompt_tokens": 3, "completion_tokens": 4}
    assert "error" not in shown
    interrupted = Turn(uuid4(), uuid4(), "Hi", datetime.now(UTC), status="interrupted")
    assert TurnSchema().dump(interrupted)["error"]["code"] == "interrupted"
