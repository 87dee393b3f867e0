"""A server with models of known and of unknown names, and the processes that clients run in."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import impatient
from tests.support.processes import ROOT, Server, Upstream, running
from tests.system.clients.samples import MODELS

CLIENTS = Path(sys.prefix) / "clients"  # packages that take other versions of libraries than ours
TOKEN_TABLES = CLIENTS / "litellm/litellm_core_utils/tokenizers"  # that tiktoken else fetches from OpenAI
NODE_MODULES = ROOT / "tests/node/node_modules"
# What clients send home, or fetch, unless they are told not to.
QUIET = {
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
RunClient = Callable[..., Any]


@pytest.fixture(scope="session")
def named_server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run a server that offers the models by which clients are tried."""
    first, *others = MODELS
    settings = {**impatient(upstream), "OPENAI_MODEL": first, "OPENAI_FALLBACK_MODELS": ", ".join(others)}
    settings["TIKTOKEN_CACHE_DIR"] = str(TOKEN_TABLES)
    with running(tmp_path_factory.mktemp("named"), **settings) as server:
        yield server


@pytest.fixture(scope="session")
def named_token(named_server: Server) -> str:
    return named_server.sign_in("client")


@pytest.fixture
def address(named_server: Server) -> str:
    return f"http://127.0.0.1:{named_server.port}/v1"


@pytest.fixture
def run_client(address: str, named_token: str, tmp_path: Path) -> RunClient:
    """Return a function that runs a command with address and key in its environment, and returns its output."""

    def run(*command: str | Path, **settings: str) -> str:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(tmp_path),
            "OPENAI_BASE_URL": address,
            "OPENAI_API_KEY": named_token,
            **QUIET,
            **settings,
        }
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def ask_in_python(run_client: RunClient) -> Callable[..., dict[str, Any]]:
    """Return a function that runs one of the scripts and returns its answers by model."""

    def ask(script: str, folder: Path | None = None) -> dict[str, Any]:
        assert folder is None or folder.exists(), "run `make test-all`, which installs it"
        settings = {"PYTHONPATH": str(folder)} if folder else {}
        output = run_client(sys.executable, "-m", "tests.system.clients.run", script, *MODELS, **settings)
        answers: dict[str, Any] = json.loads(output.splitlines()[-1])
        return answers

    return ask


@pytest.fixture
def ask_in_node(run_client: RunClient) -> Callable[..., dict[str, Any]]:
    """Return a function that runs one of the scripts in `tests/node` and returns its answers by model."""
    assert NODE_MODULES.exists(), "run `make test-all`, which installs it"

    def ask(script: str, *arguments: str) -> dict[str, Any]:
        # node is started by a Python script of that name.
        node = Path(sys.executable).with_name("node")
        output = run_client(node, ROOT / "tests/node" / script, *arguments, *MODELS)
        answers: dict[str, Any] = json.loads(output)
        return answers

    return ask
