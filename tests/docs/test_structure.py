"""docs/architecture/directory-structure.md names every package, and no package is a drawer."""

import re

from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "architecture" / "directory-structure.md").read_text()
NAMED = {path.rstrip("/") for path in re.findall(r"`((?:chatbot|tests|bench|migrations|deploy|docs)/[\w/.]*)`", TEXT)}
PACKAGES = sorted(path.parent for path in (ROOT / "chatbot").rglob("__init__.py") if path.parent != ROOT / "chatbot")
MAX_MODULES = 20


def test_every_package_has_its_rule() -> None:
    assert {str(package.relative_to(ROOT)) for package in PACKAGES} - NAMED == set()


def test_everything_named_exists() -> None:
    assert {name for name in NAMED if not (ROOT / name).exists()} == set()


def test_no_package_has_too_many_modules() -> None:
    counts = {package.name: len(list(package.glob("*.py"))) for package in PACKAGES}
    assert {name: count for name, count in counts.items() if count > MAX_MODULES} == {}


def test_overview_names_files_and_functions_that_there_are() -> None:
    overview = (ROOT / "docs" / "architecture" / "overview.md").read_text()
    paths = re.findall(r"`(chatbot/[\w/.]+)`", overview)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
    named = re.findall(r"`(?:\w+\.)?(\w+)` in `(chatbot/[\w/.]+)`", overview)
    assert len(named) > 15
    assert [pair for pair in named if f"def {pair[0]}(" not in (ROOT / pair[1]).read_text()] == []
