"""Two minutes of the search for a text that holds others up; `make chaos` searches for 30."""

from pathlib import Path

from tests.hostile.fuzz import Search
from tests.support.processes import Upstream, running

SECONDS = 120.0
RATES = dict.fromkeys(("RATE_CHAT_USER", "RATE_CHAT_ADDRESS", "RATE_SEARCH_USER"), "100000 per minute")


def test_no_text_holds_others_up(tmp_path: Path) -> None:
    upstream = Upstream()
    try:
        with running(tmp_path, OPENAI_BASE_URL=upstream.url, OPENAI_MAX_TOKENS="40000", **RATES) as server:
            search = Search(server, seed=14)
            guilty = search.run(SECONDS)
            errors = [line for line in server.lines() if line.get("event") == "unforeseen error"]
    finally:
        upstream.stop()
    assert guilty == []
    assert search.statuses.get(500, 0) == 0, errors[:1]
    assert search.statuses.get(200, 0) > 100
    assert sum(search.statuses.values()) > 1_000
