"""The reranker over a real socket, and a search with it."""

from collections.abc import Iterator

import pytest

from chatbot.rag.errors import RerankerError
from chatbot.rag.rerankers.http import HttpReranker
from chatbot.rag.types import EmbedderOptions
from chatbot.services.knowledge.state import get_knowledge_state
from tests.api.test_documents import send, work
from tests.conftest import MakeApp, join
from tests.support import upstream_vectors
from tests.support.processes import Upstream


@pytest.fixture
def reranker(upstream: Upstream) -> Iterator[HttpReranker]:
    made = HttpReranker(EmbedderOptions("scripted", "sk-canary", upstream.url, timeout=5))
    yield made
    made.close()


def test_each_text_has_its_own_relevance(reranker: HttpReranker) -> None:
    assert reranker.rank("waggle dance", ["the waggle dance", "nothing", "a dance"]) == [1.0, 0.0, 0.5]


@pytest.mark.parametrize("fault", ["status", "empty", *upstream_vectors.MALFORMED])
def test_reranker_that_fails_says_so(reranker: HttpReranker, fault: str) -> None:
    with pytest.raises(RerankerError):
        reranker.rank(f"[[{fault}]]", ["a"])


def test_search_is_ordered_by_the_reranker_and_goes_on_without_it(make_app: MakeApp, upstream: Upstream) -> None:
    app = make_app(RERANKER_URL=upstream.url, RERANKER_MODEL="scripted")
    ada = join(app.test_client(), "ada")
    send(ada, "Long", "Honey bees bees bees bees. They like flowers and flowers and bees.")
    send(ada, "Right", "How do honey bees tell where flowers are? By a dance of bees.")
    work(app)
    answer = ada.call("POST", "/api/search/", {"query": "tell how honey bees dance"}).get_json()
    assert ([one["title"] for one in answer["items"]], answer["notes"]) == (["Right", "Long"], [])
    broken = ada.call("POST", "/api/search/", {"query": "[[status]] honey bees dance"}).get_json()
    assert (len(broken["items"]), broken["notes"]) == (2, ["The reranker failed."])
    with app.app_context():
        get_knowledge_state().reranker.close()
