"""Everything is documented: settings, commands, routes, codes, adapters, targets; and files keep to their budgets."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from flask import Flask

import config
from chatbot.rag import registry
from docs.reference import generate
from tests.support.processes import ROOT

FIXED = [
    "APP_ENV",
    "BASE_URL",
    "PORT",
    "SECRET_KEY",
    "JWT_SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "WEB_CONCURRENCY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "OPENAI_MAX_TOKENS",
    "OPENAI_TEMPERATURE",
    "RETENTION_DAYS",
    "BCRYPT_ROUNDS",
    "LOG_LEVEL",
    "RATELIMIT_ENABLED",
    "CORS_ORIGINS",
]
SETTINGS = config.Config().fields
RUNTIME_BUDGET = 110  # distributions in requirements.txt on any platform; a new one is a decision


def sources() -> list[Path]:
    folders = ("chatbot", "tests", "bench", "docs", "migrations")
    return [ROOT / "bounds.py", ROOT / "config.py", ROOT / "wsgi.py", *(path for name in folders for path in (ROOT / name).rglob("*.py")
            if "node_modules" not in path.parts)]  # fmt: skip


def test_the_fixed_settings_are_there() -> None:
    assert set(FIXED) <= set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_in_the_example_with_its_default_and_why(name: str) -> None:
    field = SETTINGS[name]
    default = field.load_default
    written = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
    assert f"# {field.metadata['why']}\n#{name}={written}\n" in (ROOT / ".env.example").read_text()


def test_the_example_has_no_other_name() -> None:
    assert set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) == set(SETTINGS)


def test_reference_pages_are_what_the_code_gives() -> None:
    """Settings with their defaults, problem codes with their status, routes, commands and metrics."""
    for name, text in generate.build_pages().items():
        assert (ROOT / "docs/reference" / name).read_text() == text, f"docs/reference/{name}: run `make docs`"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_route_and_command_is_in_the_reference(app: Flask) -> None:
    routes = (ROOT / "docs/reference/api.md").read_text()
    commands = (ROOT / "docs/reference/commands.md").read_text()
    undescribed = {
        "/",
        "/api/docs/",
        "/api/docs/{name}",
        "/api/openapi.json",
        "/api/asyncapi.json",
        "/metrics",
        "/account/",
        "/account/{name}",
        "/console/",
        "/console/{name}",
        "/console/vendor/{name}",
    }
    for rule in (one for one in app.url_map.iter_rules() if not one.websocket):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        assert f" {path}`" in routes or path in undescribed, path
    for group in ("users", "history", "knowledge"):
        for command in app.cli.commands[group].commands:
            assert f"flask {group} {command}" in commands
    assert {"backup", "restore"} <= app.cli.commands.keys()


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    dead = [
        (str(page.relative_to(ROOT)), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_adapter_and_target_is_in_the_guide_or_help() -> None:
    guide = (ROOT / "docs/guides/models.md").read_text()
    for kind in ("llms", "embedders", "stores", "lexical", "rerankers"):
        assert all(f"`{name}`" in guide for name in registry.ADAPTERS[kind]), kind
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert all(re.search(rf"^{target}:.*## ", makefile, re.MULTILINE) for target in phony.split())


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/benchmarks.md"])
def test_listed_targets_are_those_of_the_makefile(page: str) -> None:
    """Each takes minutes: `make` shows its commands instead of running them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    commands = [line.partition("#")[0].split() for block in blocks for line in block.splitlines() if line[0] != " "]
    assert len(commands) >= 5
    for command in commands:
        assert command[0] == "make"
        shown = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, (command, shown.stderr)


def test_files_and_functions_keep_to_their_budgets() -> None:
    """No file over 300 lines, no function over 50, half of the files at 80 or fewer."""
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    assert {path.name: n for path, n in lengths.items() if n > 300} == {}
    product = sorted(n for path, n in lengths.items() if "chatbot" in path.relative_to(ROOT).parts[:1])
    assert product[len(product) // 2] <= 80
    long = [
        (path.name, node.name)
        for path in sources()
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 50
    ]
    assert long == []


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    blocks = re.split(r"\n(?=\S)", "\n" + (ROOT / name).read_text().split("\n", 2)[2])
    named = [block for block in blocks if block.strip()]
    assert named
    assert all(re.match(r"[\w.-]+(\[\w+\])?==\S+", block) and "--hash=sha256:" in block for block in named)


def test_runtime_has_no_unneeded_package() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(set(locked)) <= RUNTIME_BUDGET


def test_no_committed_file_names_a_registry_or_a_path_of_this_machine() -> None:
    words = ("pypi" + ".org", "npmjs" + ".org", "files.python" + "hosted", str(ROOT))
    for path in (*ROOT.glob("*.t*t"), *ROOT.glob("*.toml"), ROOT / "tests/node/package-lock.json", *sources()):
        assert not any(word in path.read_text() for word in words), path
