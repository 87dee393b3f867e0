"""Clients of npm, unpatched, each as its documentation shows it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.system.clients.samples import ANSWER, EMBEDDER, MODELS, STEPS

ANSWERS: dict[str, dict[str, Any]] = {
    "ai_sdk.mjs": {**STEPS, "usage": [3, 3], "settings": ANSWER, "picture": ANSWER, "vector": 16, "unknown model": 404},
    "langchain.mjs": {**STEPS, "usage": [3, 3], "vectors": [16, 16]},
    "openai_client.mjs": {
        **STEPS,
        "vectors": [16, 16],
        "unknown model": [404, "model_not_found"],
        "models": [*MODELS, EMBEDDER],
    },
}


@pytest.mark.parametrize("script", ANSWERS)
def test_client_takes_every_step(script: str, ask_in_node: Callable[..., dict[str, Any]]) -> None:
    assert ask_in_node(script) == dict.fromkeys(MODELS, ANSWERS[script])
