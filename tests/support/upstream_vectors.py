"""The scripted upstream's embeddings and its reranker: hashed words; `[[few]]` in a text plays the fault `few`."""

import hashlib
import re
from typing import Any

DIMENSION = 16
WORDS = "Upstream words that nobody may repeat, about {}."

MALFORMED = {  # bodies of both kinds of answers
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "endless": b'{"data": [{"index": 1e999, "embedding": [1]}], "results": [{"index": 1e999, "relevance_score": 1}]}',
    "huge": b'{"data": [{"index": 0, "embedding": [%(n)s]}], "results": [{"index": 0, "relevance_score": %(n)s}]}'
    % {b"n": b"1" + b"0" * 400},
    "nan": b'{"data": [{"index": 0, "embedding": [NaN]}], "results": [{"index": 0, "relevance_score": NaN}]}',
}


def answer(path: str, request: dict[str, Any]) -> tuple[int, Any]:
    """Return status and body of an answer; a body of bytes is sent as it is."""
    texts = request["documents"] if path.endswith("/rerank") else request["input"]
    texts = [texts] if isinstance(texts, str) else texts
    faults = re.findall(r"\[\[(\w+)\]\]", " ".join([*texts, request.get("query", "")]))
    if statuses := [fault for fault in faults if fault.startswith("status")]:
        return int(statuses[0][6:] or 500), {"error": {"message": WORDS.format("status")}}
    if malformed := [MALFORMED[fault] for fault in faults if fault in MALFORMED]:
        return 200, malformed[0]
    if path.endswith("/rerank"):
        return 200, {"results": [] if faults else ranked(request["query"], texts)}
    rows = [vector(text) for text in texts]
    if "text" in faults:
        return 200, "no vectors at all"
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(played(rows, faults))]
    return 200, {
        "object": "list",
        "data": data,
        "model": request["model"],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


def played(rows: list[list[float]], faults: list[str]) -> list[list[float]]:
    """Return vectors with the faults that spoil some of them."""
    if "few" in faults:
        rows = rows[1:]
    if "zero" in faults:
        rows[0] = [0.0] * DIMENSION
    if "ragged" in faults:
        rows[0] = rows[0][1:]
    return rows


def vector(text: str) -> list[float]:
    """Return how often words of each kind are in a text."""
    row = [0.0] * DIMENSION
    for word in re.findall(r"\w+", text.lower()) or ["."]:
        row[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1.0
    return row


def ranked(query: str, texts: list[str]) -> list[dict[str, Any]]:
    """Judge texts by the share of the query's words that they have."""
    words = set(re.findall(r"\w+", query.lower()))
    shares = [len(words & set(re.findall(r"\w+", text.lower()))) / max(1, len(words)) for text in texts]
    return [{"index": at, "relevance_score": share} for at, share in sorted(enumerate(shares), key=lambda one: -one[1])]
