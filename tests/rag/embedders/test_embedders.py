"""The contract of every embedder, and the two real ones."""

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

from chatbot.rag import registry
from chatbot.rag.embedders.openai import OpenAIEmbedder
from chatbot.rag.embedders.wordllama import MAX_BATCH_CHARACTERS, MAX_BATCH_TEXTS, WordLlamaEmbedder, split_into_batches
from chatbot.rag.errors import EmbedderError, MissingLibrary, TextRefused
from chatbot.rag.ports import Embedder
from chatbot.rag.types import EmbedderOptions
from tests.support import upstream_vectors
from tests.support.processes import Upstream


@pytest.fixture(params=["wordllama", "openai", "memory"])
def embedder(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[Embedder]:
    options = EmbedderOptions("scripted-embedding", "sk-canary", upstream.url, timeout=5)
    made: Embedder = registry.load("embedders", request.param)(options)
    yield made
    if isinstance(made, OpenAIEmbedder):
        made.close()


def test_every_text_has_a_vector_of_length_1(embedder: Embedder) -> None:
    texts = ["The quick brown fox", "", "   ", "\N{GRINNING FACE}", "x" * 30_000, *(f"text {n}" for n in range(300))]
    found = embedder.embed(texts)
    assert found.shape[0] == len(texts)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-4)
    assert embedder.space
    assert 0 < embedder.weight < 1


def test_same_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    alone = embedder.embed(["bees dance"])[0]
    among = embedder.embed(["a", "bees dance", *"bcdefghij"])[1]
    assert alone == pytest.approx(among, abs=1e-4)


def test_wordllama_knows_no_case_and_finds_what_is_alike() -> None:
    embedder = registry.load("embedders", "wordllama")(EmbedderOptions())
    cat, shouted, kitten, tax = embedder.embed(["a cat", "A CAT", "a kitten", "income tax law"])
    assert cat == pytest.approx(shouted)
    assert cat @ kitten > cat @ tax + 0.2


@pytest.mark.parametrize("fault", ["status", "few", "zero", "text", "ragged"])
def test_openai_embedder_that_fails_says_so(upstream: Upstream, fault: str) -> None:
    embedder = OpenAIEmbedder(EmbedderOptions("scripted-embedding", None, upstream.url, timeout=5))
    with pytest.raises(EmbedderError) as caught:
        embedder.embed([f"[[{fault}]]", "good"])
    embedder.close()
    assert "Upstream words" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529])
def test_openai_embedder_tells_a_refused_text_from_a_failure(upstream: Upstream, status: int) -> None:
    embedder = OpenAIEmbedder(EmbedderOptions("scripted-embedding", None, upstream.url, timeout=5))
    with pytest.raises(EmbedderError) as caught:
        embedder.embed([f"[[status{status}]]"])
    embedder.close()
    assert isinstance(caught.value, TextRefused) == (status in {400, 413, 422, 500})


@pytest.mark.parametrize("fault", upstream_vectors.MALFORMED)
def test_openai_embedder_with_a_malformed_answer_says_so(upstream: Upstream, fault: str) -> None:
    embedder = OpenAIEmbedder(EmbedderOptions("scripted-embedding", None, upstream.url, timeout=5))
    if fault != "endless":  # the place of one vector alone does not matter
        with pytest.raises(EmbedderError):
            embedder.embed([f"[[{fault}]]"])
    with pytest.raises(EmbedderError):
        embedder.embed([f"[[{fault}]]", "good"])
    embedder.close()


def test_openai_embedder_without_a_server_says_so() -> None:
    embedder = OpenAIEmbedder(EmbedderOptions("m", None, "http://127.0.0.1:9/v1", timeout=1))
    with pytest.raises(EmbedderError):
        embedder.embed(["x"])


def test_missing_library_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ADAPTERS["embedders"], "far", "no_such_library.embedder:Far")
    with pytest.raises(MissingLibrary, match="pip install no_such_library"):
        registry.load("embedders", "far")


def test_library_that_an_adapter_imports_late_is_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LIBRARIES, "memory", "no_such_library")
    with pytest.raises(MissingLibrary, match="The adapter 'memory' needs a library: pip install memory"):
        registry.load("embedders", "memory")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for `sentence_transformers`, which brings a gigabyte of torch: only the calls of the adapter."""
    made = ModuleType("sentence_transformers")
    made.__spec__ = ModuleSpec(made.__name__, None)

    class SentenceTransformer:
        def __init__(self, name: str) -> None:
            if name != "there":
                raise OSError(f"{name} is not a local folder and is not a valid model identifier")

        def encode(self, texts: list[str], *, normalize_embeddings: bool, **_: object) -> np.ndarray:
            assert all(texts)
            vectors = np.array([[len(text), text.count("a") + 1, 1] for text in texts], dtype=np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize_embeddings else vectors

    monkeypatch.setattr(made, "SentenceTransformer", SentenceTransformer, raising=False)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


@pytest.mark.usefixtures("library")
def test_sentence_transformers_gives_vectors_of_length_1_or_says_what_is_missing() -> None:
    adapter = registry.load("embedders", "sentence-transformers")
    embedder = adapter(EmbedderOptions("there"))
    vectors = embedder.embed(["a banana", "", "x"])
    assert (embedder.space, vectors.shape) == ("there", (3, 3))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3))
    with pytest.raises(EmbedderError) as caught:
        adapter(EmbedderOptions("elsewhere")).embed(["x"])
    assert str(caught.value) == "The model 'elsewhere' cannot be loaded."


def test_batches_are_bounded_with_their_padding_and_take_each_text_once() -> None:
    texts = ["1 " * 16_000, *["a"] * 15, *["word " * 1_000] * 40, "x" * 200_000]
    found = list(split_into_batches(texts))
    assert sorted(at for batch in found for at in batch) == list(range(len(texts)))
    for batch in found:
        assert len(batch) <= MAX_BATCH_TEXTS
        assert len(batch) == 1 or len(batch) * max(len(texts[at]) for at in batch) <= MAX_BATCH_CHARACTERS


def test_texts_embedded_in_batches_have_the_vectors_that_they_have_alone() -> None:
    embedder = WordLlamaEmbedder(EmbedderOptions())
    texts = [f"text {n} of many words " * (1 + n % 40) for n in range(50)]
    together = embedder.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(embedder.embed([text])[0], abs=1e-5)
