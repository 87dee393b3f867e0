"""docs/asvs.md: each requirement once, in a known state, with evidence that exists."""

import re
from collections import Counter

import pytest

from tests.support.processes import ROOT

STATES = {"yes", "n/a", "no"}
LEVEL_1 = 70  # requirements of level 1 in ASVS 5.0.0
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (\d) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FILE = re.compile(r"`([\w./-]+/[\w./-]+|\w+\.(?:toml|txt))`")

LINES = (ROOT / "docs" / "asvs.md").read_text().splitlines()
ROWS = [match.groups() for line in LINES if (match := ROW.match(line))]
CITED = sorted({cited for *_, evidence in ROWS for cited in TEST.findall(evidence)})


def test_each_line_of_a_table_is_a_row() -> None:
    others = [line for line in LINES if line.startswith("|") and not ROW.match(line)]
    assert set(others) == {"| id | level | what | state | evidence |", "|---|---|---|---|---|"}


def test_each_id_appears_once_under_its_chapter() -> None:
    assert [identity for identity, times in Counter(row[0] for row in ROWS).items() if times > 1] == []
    chapter = ""
    for line in LINES:
        if heading := re.match(r"## V(\d+) ", line):
            chapter = heading[1]
        if row := ROW.match(line):
            assert row[1].split(".")[0] == chapter


def test_each_row_has_a_known_level_and_state() -> None:
    assert {level for _, level, *_ in ROWS} == {"1", "2"}
    assert {identity: state for identity, _, _, state, _ in ROWS if state not in STATES} == {}


def test_level_1_is_complete_and_without_a_fail() -> None:
    assert sum(level == "1" for _, level, *_ in ROWS) == LEVEL_1
    assert [identity for identity, level, _, state, _ in ROWS if (level, state) == ("1", "no")] == []


def test_each_met_requirement_has_evidence() -> None:
    for identity, _, _, state, evidence in ROWS:
        files = [path for path in FILE.findall(evidence) if (ROOT / path).exists()]
        assert state != "yes" or TEST.search(evidence) or files, identity


@pytest.mark.parametrize(("path", "name"), CITED)
def test_cited_test_exists(path: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
