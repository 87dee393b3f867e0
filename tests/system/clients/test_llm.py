"""The `llm` command, unpatched, against a really running server."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients.samples import ANSWER, MODELS, NEXT_ANSWER, TOOL_ANSWER

LLM = Path(sys.executable).with_name("llm")
FUNCTION = """
def weather(city: str) -> str:
    "Return the weather of a city."
    return f"sunny in {city}"
"""
SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}}'


@pytest.mark.parametrize(("model", "stream"), [(MODELS[0], []), (MODELS[1], ["--no-stream"])])
def test_command(
    model: str, stream: list[str], address: str, named_token: str, run_client: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: {model}\n  api_base: {address}\n  api_key_name: ours\n"
        "  supports_tools: true\n  supports_schema: true\n"
    )
    # The weights of the embedded model come in a plug-in of this command, whose own library is not installed.
    settings = {"LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}

    def run(*options: str) -> str:
        return run_client(LLM, "--key", named_token, *stream, *options, **settings).strip()

    assert run("-m", "ours", "-s", "Be brief.", "hello") == ANSWER
    assert run("-c", "again") == NEXT_ANSWER
    assert run("-m", "ours", "--functions", FUNCTION, "hello") == TOOL_ANSWER
    assert run("-c", "again") == NEXT_ANSWER
    assert json.loads(run("-m", "ours", "--schema", SCHEMA, "hello")) == {"city": "Paris"}
