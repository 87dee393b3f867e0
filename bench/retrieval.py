"""`make bench-retrieval DATA=folder`: quality, speed and memory of the knowledge base, through the real service.

Documents go in at `POST /api/documents/`, queries to `POST /api/search/` of a real gunicorn on SQLite; beside it plain
BM25 (tantivy over whole documents) and the raw library calls. The collections are read from DATA and not copied.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.grounding import citations, grounded, strict
from bench.judged import Judged, covered, judged, ndcg, recall, spans
from bench.knowledge import Knowledge
from bench.raw import bm25, embedding_rate
from bench.report import Report
from bench.scale import STORES, passages, prepared, scale
from tests.support.chaos import stack
from tests.support.processes import Upstream, running

QUESTIONS = 20  # of each collection, whose nearest passages are compared
SENDERS = 4  # clients that send documents at a time
# Collection, and the least nDCG@10.
MUST = {"scifact": 0.66, "cranfield": 0.41, "squad2-half": 0.87, "xquad-en": 0.95, "xquad-es": 0.92, "xquad-zh": 0.90}


@contextmanager
def knowledge(**settings: str) -> Iterator[Knowledge]:
    """Run a server with a scripted model and the embedded embedder."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "script.json"
        upstream = Upstream("--script", str(script))
        try:
            with running(Path(name), OPENAI_BASE_URL=upstream.url, LOG_LEVEL="warning", **settings) as server:
                yield Knowledge(server, script)
        finally:
            upstream.stop()


def measure(base: Knowledge, one: Judged, report: Report) -> None:
    """Send a collection, ask all its queries, and tell how well they were answered."""
    home = base.collection(one.name)
    started = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda item: base.send(home, item[0], *item[1]), one.documents.items()))
    base.wait()
    base.search("warm", home)
    if one.name == "scifact":
        rate = len(one.documents) / (time.monotonic() - started)
        report.tell("scifact: documents ready to search", rate, "documents/s", 100)
        report.tell("scifact: texts embedded by the raw library", embedding_rate(one), "texts/s")
    ranked = {key: base.ranked(query, home) for key, query in one.queries.items()}
    upper = {key: base.ranked(query.upper(), home) for key, query in one.queries.items()}
    plain = bm25(one)

    def mean(metric: Callable[..., float], found: dict[str, list[str]]) -> float:
        return statistics.mean(metric(found[key], one.grades[key]) for key in one.queries)

    report.tell(f"{one.name}: nDCG@10", mean(ndcg, ranked), "", MUST[one.name])
    report.tell(f"{one.name}: nDCG@10 of plain BM25", mean(ndcg, plain))
    report.tell(f"{one.name}: nDCG@10 lost in capitals", mean(ndcg, ranked) - mean(ndcg, upper), "", 0.02, more=False)
    if one.name == "scifact":
        report.tell("scifact: Recall@100", mean(recall, ranked), "", 0.90)
        seconds = sorted(base.timed(query, home) for query in one.queries.values())
        report.tell("scifact: a search, p50", statistics.median(seconds) * 1000, "ms", 15, more=False)
        report.tell("scifact: a search, p99", seconds[int(len(seconds) * 0.99)] * 1000, "ms", 50, more=False)


def measure_chunks(base: Knowledge, folder: Path, report: Report) -> None:
    """Measure the share of the answers' characters inside the first 8,000 and 16,000 characters retrieved."""
    found = spans(folder)
    home = base.collection("chunking")
    names = {base.send(home, name, name, text): name for name, text in found.texts.items()}
    base.wait()
    shares: dict[int, list[float]] = {8_000: [], 16_000: []}
    for question, text, wanted in found.questions:
        items = base.search(question, home, limit=40, per_document=40)["items"]
        for characters, values in shares.items():
            read = [
                (one["start"], one["end"]) if names[one["document_id"]] == text else (-1 - len(one["quote"]), -1)
                for one in items
            ]
            values.append(covered(wanted, read, characters))
    report.tell("chunking: characters of the answers in the first 8,000", statistics.mean(shares[8_000]), "", 0.90)
    report.tell("chunking: characters of the answers in the first 16,000", statistics.mean(shares[16_000]), "", 0.95)


def measure_scale(sets: Sequence[Judged], report: Report) -> None:
    """Fill a database of each kind with many passages, and search it."""
    upstream = Upstream()
    texts = passages(sets)
    questions = [question for one in sets for question in list(one.queries.values())[:QUESTIONS]]
    try:
        for kind in STORES:
            with tempfile.TemporaryDirectory() as name, stack(kind, Path(name)) as base:
                settings = base | ({"VECTOR_STORE": "pgvector"} if kind == "hosts" else {})
                server, homes = prepared(
                    Path(name), texts, OPENAI_BASE_URL=upstream.url, LOG_LEVEL="warning", **settings
                )
                try:
                    scale(Knowledge(server.start(), Path(name) / "script.json"), homes, kind, questions, report.tell)
                finally:
                    server.stop()
    finally:
        upstream.stop()


def folder(name: str) -> Path:
    """Return the folder of that name; raises ArgumentTypeError."""
    path = Path(name)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {name}: name one with DATA=folder")
    return path


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=folder)
    parser.add_argument("--only", action="append", help="one of the parts; default: all")
    options = parser.parse_args()
    report = Report("retrieval")
    sets = [path for path in sorted(options.data.iterdir()) if path.name in MUST]
    wanted = options.only or [*(path.name for path in sets), "chunking", "strict", "citations", "grounded", "scale"]
    with knowledge() as base:
        for path in sets:
            if path.name in wanted:
                measure(base, judged(path), report)
        if "chunking" in wanted:
            measure_chunks(base, options.data / "chunking", report)
        for name, part in (("strict", strict), ("citations", citations), ("grounded", grounded)):
            if name in wanted:
                part(base, options.data, report.tell)
    if "scale" in wanted:
        measure_scale([judged(path) for path in sets], report)
    report.write()
    return report.missed()


if __name__ == "__main__":
    sys.exit(main())
