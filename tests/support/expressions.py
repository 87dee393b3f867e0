"""All regular expressions of the application, found in its source by their syntax tree."""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

FLAGS_AT = {
    "compile": 1,
    "match": 2,
    "search": 2,
    "fullmatch": 2,
    "findall": 2,
    "finditer": 2,
    "split": 3,
    "sub": 4,
    "subn": 4,
    "Regexp": 1,
}
EVERYWHERE = {"search", "findall", "finditer", "split", "sub", "subn"}  # methods that try each position
Read = Callable[[Any], object]


@dataclass
class Expression:
    """One call that makes an expression; `name` is where it is, such as `chatbot.rag.citations.markers.MARKER`."""

    name: str
    module: str
    call: ast.Call
    methods: set[str] = field(default_factory=set)

    def compile(self, variables: dict[str, Any]) -> re.Pattern[Any]:
        """Compile the expressions of a source; `variables` stand for those of the function around it."""
        names = {**vars(importlib.import_module(self.module)), **variables}
        at = FLAGS_AT[_called(self.call)]
        flags = [word.value for word in self.call.keywords if word.arg == "flags"] + self.call.args[at : at + 1]
        return re.compile(_evaluate(self.call.args[0], names), *(_evaluate(flag, names) for flag in flags))

    def readers(self, pattern: re.Pattern[Any]) -> Iterator[Read]:
        """Yield functions that read a text as the application does."""
        if not self.methods or self.methods & EVERYWHERE:
            yield lambda text: sum(1 for _ in pattern.finditer(text))
        if "match" in self.methods:
            yield pattern.match
        if "fullmatch" in self.methods:
            yield pattern.fullmatch


def all_expressions() -> dict[str, Expression]:
    """Return each expression by its name, with the methods that are called on it."""
    paths = [ROOT / "bounds.py", ROOT / "config.py", *sorted((ROOT / "chatbot").rglob("*.py"))]
    trees = {_module(path): ast.parse(path.read_text()) for path in paths}
    found = {one.name: one for module, tree in trees.items() for one in _expressions(module, tree)}
    for module, tree in trees.items():
        imported = _imported(tree)
        for owner, method in _method_calls(tree):
            suffix = f".{imported.get(owner, owner)}"
            for name in (
                f"{module}.{owner}",
                *(name for name in found if "." in suffix[1:] and f".{name}".endswith(suffix)),
            ):
                if name in found:
                    found[name].methods.add(method)
    return found


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _expressions(module: str, tree: ast.Module) -> Iterator[Expression]:
    calls = [(scope, call) for scope, call in _calls(tree, "") if _called(call) in FLAGS_AT]
    counts = Counter(scope for scope, _ in calls)
    numbers: Counter[str] = Counter()
    for scope, call in calls:
        place = f"{module}.{scope}"
        name = f"{place}[{numbers[scope]}]" if counts[scope] > 1 else place
        numbers[scope] += 1
        method = _called(call)
        methods = {"match"} if method == "Regexp" else set() if method == "compile" else {method}
        yield Expression(name, module, call, methods)


def _calls(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield all calls, each with the function or the variable that it is in."""
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = child.name
        elif isinstance(child, ast.Assign) and not scope:
            inner = ast.unparse(child.targets[0])
        if isinstance(child, ast.Call):
            yield inner, child
        yield from _calls(child, inner)


def _called(call: ast.Call) -> str:
    """Return which function of `re` is called, "Regexp" for marshmallow's, or ""."""
    function = call.func
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "re":
        return function.attr
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    return "Regexp" if name == "Regexp" else ""


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return the names that come from other modules, as `module.name`."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def _method_calls(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {*EVERYWHERE, "match", "fullmatch"}:
            yield ast.unparse(node.value), node.attr


def _evaluate(node: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(node), "<expression>", "eval"), names)
