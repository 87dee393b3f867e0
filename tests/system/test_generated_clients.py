"""Clients that three generators make of the API document: type-checked strictly, and run against a real server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Server

NODE_MODULES = ROOT / "tests/node/node_modules"
FLOWS = ROOT / "tests/system/generated"
BIN = Path(sys.executable).parent
# The generator's own template hands on the arguments of `__exit__` as objects.
MYPY = "[mypy]\n[mypy-client.client]\ndisable_error_code = arg-type\n"
EXPECTED = [
    "{name} invalid_credentials user",
    "You said: hello",
    "turn delta done You said: hello (completed)",
    "ready We are open from 9 to 5.",
]


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in a folder; returns its output."""
    # Generators format what they made with the tools beside this Python; none is measured.
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    ended = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, (command, ended.stdout[-4_000:], ended.stderr[-4_000:])
    return ended.stdout


def expect(output: str, name: str) -> None:
    """Compare the lines that a flow printed."""
    assert output.splitlines() == [line.format(name=name) for line in EXPECTED]


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def document(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the API document as a file."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(server.call("GET", "/api/openapi.json")[2]))
    return path


@pytest.fixture
def node_folder(tmp_path: Path) -> Path:
    """Return a folder with the settings of TypeScript and the packages of Node."""
    assert NODE_MODULES.exists(), "run `make test-all`, which installs it"
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    shutil.copy(FLOWS / "tsconfig.json", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "generator"),
    [
        ("fetch", ["openapi-typescript", "{document}", "-o", "schema.ts"]),
        ("hey", ["openapi-ts", "-i", "{document}", "-o", "client", "--no-log-file"]),
    ],
)
def test_client_in_typescript(
    server: Server, document: Path, node_folder: Path, name: str, generator: list[str]
) -> None:
    tools = node_folder / "node_modules/.bin"
    flow = f"{name}_client"
    shutil.copy(FLOWS / f"{flow}.ts", node_folder)
    program, *arguments = (part.format(document=document) for part in generator)
    run(node_folder, tools / program, *arguments)
    run(node_folder, tools / "tsc")
    expect(run(node_folder, BIN / "node", f"out/{flow}.js", address(server)), name)


def test_client_in_python(server: Server, document: Path, tmp_path: Path) -> None:
    shutil.copy(FLOWS / "python_client.py", tmp_path)
    options = ("--path", document, "--output-path", "client", "--meta", "none")
    # It leaves out what it does not understand, and warns.
    assert run(tmp_path, BIN / "openapi-python-client", "generate", *options).strip() == "Generating client"
    (tmp_path / "mypy.ini").write_text(MYPY)
    run(tmp_path, BIN / "mypy", "--strict", "python_client.py")
    expect(run(tmp_path, sys.executable, "python_client.py", address(server)), "python")


def test_python_client_has_all_operations(document: Path, tmp_path: Path) -> None:
    options = ("--path", document, "--output-path", "client", "--meta", "none")
    run(tmp_path, BIN / "openapi-python-client", "generate", *options)
    modules = {path.stem.replace("_", "") for path in (tmp_path / "client/api").glob("*/*.py")} - {"init"}
    paths = json.loads(document.read_text())["paths"].values()
    names = {one["operationId"].lower() for path in paths for name, one in path.items() if name != "parameters"}
    assert modules == names
