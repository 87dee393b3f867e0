"""How well passages are found on public collections in the folder DATA; `make bench-retrieval` measures all of them."""

import os
import statistics
from pathlib import Path

import pytest
from flask import Flask

from bench.judged import judged, ndcg
from bench.retrieval import MUST
from tests.api.test_documents import work
from tests.conftest import MakeApp, join
from tests.support.processes import ROOT

pytestmark = pytest.mark.both_databases

# Without DATA any folder `data` of a neighbouring folder is looked at.
FOLDERS = [Path(os.environ["DATA"])] if os.environ.get("DATA") else sorted(ROOT.parent.glob("*/data"))


def find_collection(name: str) -> Path:
    """Return the folder of a collection; without it the test is skipped."""
    for folder in FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    pytest.skip(f"no public collection {name}: name its folder with DATA=folder")


@pytest.mark.parametrize("name", ["xquad-en", "xquad-es", "xquad-zh"])
def test_questions_find_their_paragraphs(make_app: MakeApp, name: str) -> None:
    collection = judged(find_collection(name))
    app: Flask = make_app(EMBEDDER="wordllama", RATE_SEARCH_USER="", RATE_DOCUMENT_USER="")
    ada = join(app.test_client(), "ada")
    names = {}
    for key, (title, text) in collection.documents.items():
        sent = ada.call("POST", "/api/documents/", {"title": (title or key)[:255], "text": text, "external_id": key})
        names[sent.get_json()["id"]] = key
    work(app)

    def ranked(query: str) -> list[str]:
        found = ada.call("POST", "/api/search/", {"query": query, "limit": 10, "per_document": 1}).get_json()["items"]
        return [names[one["document_id"]] for one in found]

    queries = list(collection.queries.items())[::4]
    gains = [ndcg(ranked(query), collection.grades[key]) for key, query in queries]
    assert statistics.mean(gains) >= MUST[name]
    capitals = [ndcg(ranked(query.upper()), collection.grades[key]) for key, query in queries[::4]]
    assert statistics.mean(gains[::4]) - statistics.mean(capitals) <= 0.02
