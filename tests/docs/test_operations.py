"""Pages of operations, the database and decisions name tables, metrics, settings, codes and files that exist."""

import re

import pytest

import config
from chatbot import models
from chatbot.database.base import db
from chatbot.schemas import problem
from docs.reference import generate
from tests.support.processes import ROOT

DOCS = ROOT / "docs"
SETTINGS = set(config.Config().fields)
METRICS = {re.sub(r"`", "", row[0]) for row in generate.list_metrics()}


def test_every_table_is_in_the_page_of_the_database() -> None:
    page = (DOCS / "architecture" / "database.md").read_text()
    assert models.User.__tablename__ in db.metadata.tables
    assert [name for name in db.metadata.tables if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "operations").glob("*.md")))
def test_named_metrics_and_settings_exist(page: str) -> None:
    text = (DOCS / "operations" / page).read_text()
    named = set(re.findall(r"chatbot_[a-z_]+", text))
    assert {name.removesuffix("_bucket") for name in named} <= METRICS
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", text)) <= SETTINGS | {
        "POSTGRES_PASSWORD",
        "REDIS_PASSWORD",
    }


def test_codes_in_troubleshooting_exist() -> None:
    text = (DOCS / "operations" / "troubleshooting.md").read_text()
    section = text[text.index("## Requests fail") : text.index("## Answers and documents")]
    codes = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert len(codes) >= 9
    assert codes <= set(problem.BY_CODE)


def test_each_decision_has_a_date_and_a_status_and_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    files = sorted(path for path in (DOCS / "decisions").glob("0*.md"))
    assert len(files) > 50
    for number, path in enumerate(files, 1):
        title, _, status, *_ = path.read_text().splitlines()
        assert re.match(r"\d{4}-\d\d-\d\d, (accepted|superseded)", status), path.name
        assert f"| {number} | [{title.removeprefix('# ')}]({path.name}) |" in index
        assert path.name.startswith(f"{number:04d}-")
