"""The language of the code: concrete subjects in docstrings, and the names of the glossary."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

SOURCES = sorted([*ROOT.glob("chatbot/**/*.py"), *ROOT.glob("*.py")])
FOLDERS = ("bench", "docs", "migrations", "tests")
OTHERS = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py") if "node_modules" not in path.parts)
# A sentence that rests on one of these has no concrete subject.
VAGUE = re.compile(
    r"\b(who|whom|whose|what|whoever|whatever|somebody|anybody|nobody|everybody|someone|anyone)\b", re.IGNORECASE
)
PERSON = re.compile(r"\b(whoever|(some|any|no|every)body|someone|anyone|(Who|who) [a-z]+s\b)")
RETIRED = {
    *("Abort", "Ask", "Brief", "Crowd", "DRIFT", "GRACE", "HARMLESS", "Hold", "Inlet", "LOCK_PATIENCE", "Prompted"),
    *("Reached", "Running", "SIGNS_OF_ILLNESS", "Stored", "Try", "Turnstile", "Wire"),
    *("_apart", "_give_up", "_kept", "_put_back", "anybody", "apart", "aside", "caller_of", "everybody", "folded"),
    *("is_there_any", "leans", "may_govern", "mend", "most_of_one", "obey_cancels", "outrun", "patiently", "run_out"),
    *("save_texts", "wanting_vectors", "wiring", "LLMError", "announce", "fleet", "told", "said"),
    *("mine", "prompted", "all_in_all", "batches"),
}
# Words that no identifier has, in any case; a `home` is the page at `/` alone.
RETIRED_WORDS = {
    *("anybody", "aside", "bell", "brief", "crowd", "door", "doors", "everybody", "fleet", "folded", "govern"),
    *("home", "homes", "illness", "inlet", "leans", "mend", "mine", "outrun", "patience", "patient", "patiently"),
    *("prompted", "rung", "said", "told", "turnstile", "wiring"),
}
FRONT_PAGE = ("chatbot/__init__.py", "chatbot/api/home.py")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
VAGUE_CONSTANT = re.compile(r"_?(MOST|LEAST|LONGEST|DEEPEST|FEW|EVERY|PATIENCE)(_.*)?|.*_(MOST|EVERY|LEAST)")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines and the first lines of the docstrings of a file."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text.splitlines()[0]


@pytest.mark.parametrize("path", [*SOURCES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_first_lines_of_docstrings_have_concrete_subjects(path: Path) -> None:
    first_lines = list(docstrings(path))
    assert [(line, text) for line, text in first_lines if VAGUE.search(text)] == []
    assert [(line, text) for line, text in first_lines if text.split()[0] in {"Tell", "Tells"}] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_comments_have_concrete_subjects(path: Path) -> None:
    with path.open("rb") as file:
        comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    assert [(one.start[0], one.string) for one in comments if PERSON.search(one.string)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_retired_names_do_not_come_back(path: Path) -> None:
    with path.open("rb") as file:
        names = {token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME}
    assert names & RETIRED == set()
    words = {word.lower() for name in names for word in WORD.findall(name)}
    allowed = {"home"} if path.relative_to(ROOT).as_posix() in FRONT_PAGE else set()
    assert words & RETIRED_WORDS <= allowed
    assert {name for name in names if VAGUE_CONSTANT.fullmatch(name)} == set()


@pytest.mark.parametrize("path", [*SOURCES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_each_line_assigns_one_value(path: Path) -> None:
    """Swaps and unpacking are single assignments; `a, b = x, y` hides one of two."""
    packed = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Tuple) for target in node.targets)
        and isinstance(node.value, ast.Tuple)
    ]
    assert packed == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_conditional_expressions_are_not_nested(path: Path) -> None:
    expressions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.IfExp)]
    nested = [
        one.lineno
        for one in expressions
        for inner in ast.walk(one)
        if isinstance(inner, ast.IfExp) and inner is not one
    ]
    assert nested == []
