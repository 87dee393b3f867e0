"""The public test collections, read from a folder in the BEIR layout, and the metrics over them."""

import ast
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Judged:
    """Documents and queries by their ids, and the grade of each document that answers a query."""

    name: str
    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Spans:
    """Texts by name, and questions with the spans (start, end) of a text that answer them."""

    texts: dict[str, str]
    questions: list[tuple[str, str, list[tuple[int, int]]]]


def judged(folder: Path) -> Judged:
    """Read a collection of documents, queries and grades."""
    documents = {row["_id"]: (row.get("title") or "", row["text"]) for row in _lines(folder / "corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in _lines(folder / "queries.jsonl")}
    grades: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open() as file:
        for query, document, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            if int(grade) > 0:
                grades.setdefault(query, {})[document] = int(grade)
    return Judged(folder.name, documents, {key: queries[key] for key in grades}, grades)


def spans(folder: Path) -> Spans:
    """Read the texts and questions of chunking_evaluation."""
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.md"))}
    questions = []
    with (folder / "questions_df.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found = _parsed(row["references"])
            questions.append(
                (row["question"], row["corpus_id"], [(one["start_index"], one["end_index"]) for one in found])
            )
    return Spans(texts, questions)


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain at a depth (Järvelin and Kekäläinen, 2002; linear gains)."""
    gain = sum(grades.get(one, 0) / math.log2(rank + 2) for rank, one in enumerate(ranked[:depth]))
    best = sum(grade / math.log2(rank + 2) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:depth]))
    return gain / best if best else 0.0


def recall(ranked: Sequence[str], grades: Mapping[str, int], depth: int = 100) -> float:
    """Return the share of the good documents among the first ones."""
    return len(set(ranked[:depth]) & grades.keys()) / len(grades)


def covered(spans: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]], characters: int) -> float:
    """Return the share of the spans' characters inside the first `characters` of the found spans."""
    wanted = {at for start, end in spans for at in range(start, end)}
    read: set[int] = set()
    for start, end in found:
        if characters <= 0:
            break
        read.update(range(start, min(end, start + characters)))
        characters -= end - start
    return len(wanted & read) / len(wanted)


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [json.loads(line) for line in file if line.strip()]


def _parsed(text: str) -> list[dict[str, int]]:
    try:
        found: list[dict[str, int]] = json.loads(text)
    except json.JSONDecodeError:
        found = ast.literal_eval(text)
    return found
