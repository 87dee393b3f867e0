"""Python clients that build on OpenAI's, unpatched, each as its documentation shows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients.conftest import CLIENTS
from tests.system.clients.samples import ANSWER, CHAT, MODELS, NEXT_ANSWER, STEPS, TOOL_ANSWER

FORM = ["Paris", "Paris", "Paris", True]  # whole, streamed, in a second turn; with usage
ANSWERS: dict[str, tuple[Path | None, dict[str, Any]]] = {
    "with_gradio": (CLIENTS, {**CHAT, "files": ["You said: look", "## note.txt", "A note."]}),
    "with_instructor": (CLIENTS, {**dict.fromkeys(("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA"), FORM),
                                  "from_provider": "Paris", "chat": ANSWER, "asks again": 2}),
    "with_litellm": (CLIENTS, {**STEPS, "usage": [3, 3], "vectors": [16, 16], "unknown model": 404}),
    "with_llama_index": (CLIENTS, {**STEPS, "completion": ANSWER, "predict and call": "sunny in Paris", "agent": TOOL_ANSWER}),
    "with_openai_agents": (None, {**STEPS, "session": NEXT_ANSWER, "handoff": "Plain", "usage": 3}),
    "with_pydantic_ai": (None, {**STEPS, "usage": 3, "picture": ANSWER}),
}  # fmt: skip


@pytest.mark.parametrize("script", ANSWERS)
def test_client_takes_every_step(script: str, ask_in_python: Callable[..., dict[str, Any]]) -> None:
    folder, answers = ANSWERS[script]
    assert ask_in_python(script, folder) == dict.fromkeys(MODELS, answers)
