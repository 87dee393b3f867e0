"""The tests keep rules of their own: CONTRIBUTING.md has them."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if "node_modules" not in path.parts
}
CLOCKS = {"now", "time", "sleep", "monotonic", "read_boot_time"}
# The pauses of logins are noted, and not waited for: a second each.
PATCHED_PAUSE = ("tests/web/test_rate_limits.py", "chatbot.web.login_limits.sleep")
POLLING = "tests/support/waiting.py"
SLOW_PEERS = {
    "tests/rag/loaders/naughty.py",  # a loader that never ends
    "tests/worker/test_connections.py",  # a body that comes byte by byte, in gevent's loop
}
OWN = {"self", "cls", "super()"}
BIG_TABLE = 8  # rows


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Yield each node of a kind with its module."""
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield name, node


def patched(call: ast.Call) -> str:
    """Return the name of an attribute that monkeypatch replaces, or nothing."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "setattr":
        return ""
    names = [argument.value for argument in call.args[:2] if isinstance(argument, ast.Constant)]
    return next((name for name in names if isinstance(name, str)), "")


def test_no_private_attribute_of_another_object_is_used() -> None:
    """Except os._exit and _asdict, which are public, and the hooks that a class overrides."""
    found = []
    for name, node in nodes(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        owner = ast.unparse(node.value)
        if re.match(r"_(?!_)", node.attr) and owner not in OWN | {"os"} and node.attr != "_asdict":
            found.append((name, node.lineno, ast.unparse(node)))
    for name, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        if re.match(r"_(?!_)", patched(node).rpartition(".")[2]):
            found.append((name, node.lineno, patched(node)))
    assert found == []


def test_no_clock_is_patched() -> None:
    """Clocks are arguments, or set with the fixture `clock`."""
    found = []
    for name, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        target = patched(node)
        if target.rpartition(".")[2] in CLOCKS and (name, target) != PATCHED_PAUSE:
            found.append((name, node.lineno, target))
    assert found == []


def test_one_module_sleeps() -> None:
    """All others wait for a condition, or let a named time pass. To sleep for 0 s is to yield."""
    found = []
    for name, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        sleeps = ast.unparse(node.func) in {"time.sleep", "gevent.sleep", "sleep"}
        if sleeps and [ast.unparse(one) for one in node.args] != ["0"] and name not in {POLLING, *SLOW_PEERS}:
            found.append((name, node.lineno))
    for name, node in nodes(ast.While):
        assert isinstance(node, ast.While)
        spins = [type(one) for one in node.body] == [ast.Pass] and not isinstance(node.test, ast.Call | ast.Await)
        if spins and name not in SLOW_PEERS:
            found.append((name, node.lineno))
    assert found == []


def test_rows_of_big_tables_have_names(request: pytest.FixtureRequest) -> None:
    """A name such as `body3` is a number; pytest gives it to rows of bytes and objects."""
    nameless: Counter[str] = Counter()
    for item in request.session.items:
        test, _, row = item.nodeid.partition("[")
        parts = [part for part in row.rstrip("]").split("-") if part not in {"sqlite", "postgresql"}]
        nameless[test] += bool(parts and all(re.fullmatch(r"[a-z_]+\d+", part) for part in parts))
    assert {test: count for test, count in nameless.items() if count >= BIG_TABLE} == {}
