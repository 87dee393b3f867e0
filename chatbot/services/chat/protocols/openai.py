"""Prompts that a caller brings along whole, the models and collections that may be asked, and vectors of texts."""

import base64
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from chatbot import adapters
from chatbot.database.transactions import read
from chatbot.errors import Busy, InvalidInput, ModelNotFound
from chatbot.models import Collection
from chatbot.rag import token_counts
from chatbot.rag.types import Message
from chatbot.services.accounts.callers import Caller
from chatbot.services.chat.running_turns import GenerationRequest
from chatbot.services.chat.state import get_chat_state
from chatbot.services.knowledge.permissions import may_read, searched_by_default
from chatbot.services.knowledge.state import get_knowledge_state
from chatbot.services.usage import prices, reservations
from chatbot.services.usage.demand import Demand

COLLECTION = "collection:"
MAX_TEXT_LENGTH = 32_000  # characters of one text that tokens may say
MAX_DECODED_LENGTH = 1_000_000  # of all texts: a token of six bytes can say 128 blanks
MAX_WAIT_SECONDS = 20.0  # for the end of the caller's other requests for vectors
RETRY_AFTER_SECONDS = 5.0
ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Model:
    """A name that may be asked: to chat, to embed texts, or to chat with passages of a collection."""

    id: str
    kind: Literal["chat", "embedding", "collection"]
    collection_id: UUID | None = None


def list_models(caller: Caller) -> list[Model]:
    """Return the models, the first one first, the embedder, and a model for each readable collection.

    Raises ModelUnavailable.
    """
    collections = (Model(name, "collection", collection_id) for name, collection_id in _collections(caller).items())
    return [*list_own_models(), *collections]


def list_own_models() -> list[Model]:
    """Return the models, the first one first, and the embedder; raises ModelUnavailable."""
    return [
        *(Model(name, "chat") for name in adapters.list_model_names(current_app.config)),
        Model(get_knowledge_state().embedder().space, "embedding"),
    ]


def require_model(caller: Caller, name: str) -> Model:
    """Return a model that may be asked; raises ModelNotFound, ModelUnavailable."""
    if name in adapters.list_model_names(current_app.config):
        return Model(name, "chat")
    if name == get_knowledge_state().embedder().space:
        return Model(name, "embedding")
    collection_id = _find_collection(caller, name)
    if collection_id is not None:
        return Model(name, "collection", collection_id)
    raise ModelNotFound(f"The model {name!r} does not exist here; GET /v1/models lists those that do.")


@dataclass(frozen=True, slots=True)
class CompletionPrompt:
    """A prompt to be answered: the user's last message, the collections to search for it, and the request."""

    question: str
    collection_ids: tuple[UUID, ...] | None
    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, as numbers or in base64, and about how many tokens the texts have."""

    vectors: list[list[float]] | list[str]
    tokens: int


def build_completion(
    caller: Caller, *, model: str, messages: Sequence[Message], parameters: Mapping[str, Any]
) -> CompletionPrompt:
    """Return the prompt for a model, or for the first model with passages of a collection that `model` names.

    There must be a message of the user. Raises InvalidInput for images to a collection's model, ModelNotFound,
    ModelUnavailable.
    """
    known = require_model(caller, model)
    if known.kind == "embedding":
        raise ModelNotFound(f"The model {model!r} embeds texts and does not chat; ask it at /v1/embeddings.")
    last = max(at for at, message in enumerate(messages) if message.role == "user")
    question = messages[last].content
    if known.collection_id is None:
        return CompletionPrompt(
            question, None, GenerationRequest(messages=messages, parameters=parameters, model=model)
        )
    if "content" in messages[last].fields:
        raise InvalidInput({"messages": ["A model of a collection takes texts alone."]})
    first = adapters.list_model_names(current_app.config)[0]
    request = GenerationRequest(
        history=messages[:last], following=messages[last + 1 :], parameters=parameters, model=first
    )
    return CompletionPrompt(question, (known.collection_id,), request)


def embed(
    caller: Caller,
    model: str,
    inputs: Sequence[str | Sequence[int]],
    encoding: str,
    *,
    dimensions: int | None = None,
) -> Embeddings:
    """Return a vector for each text, or for the text of each list of tokens.

    `encoding` is `float` for numbers, `base64` for little-endian 32-bit floats. Raises ModelNotFound, InvalidInput for
    other `dimensions` than the model's and for tokens that cannot be read, Busy when too much of the caller's is
    embedded already, BudgetExhausted, and `rag.errors.EmbedderError`.
    """
    embedder = get_knowledge_state().embedder()
    if model != embedder.space:
        raise ModelNotFound(f"Texts are embedded here by the model {embedder.space!r}.")
    texts = _read_texts(inputs)
    tokens = sum(map(token_counts.estimate, texts))
    if caller.has_budgets:
        price = prices.find_price([model]) or prices.UNKNOWN
        reservations.spend(caller, Demand(tokens, 0, price, turns=0))
    slots = get_chat_state().embedding_slots
    if not slots.acquire(caller.user_id, MAX_WAIT_SECONDS):
        raise Busy("Too many texts are being embedded; retry later.", retry_after=RETRY_AFTER_SECONDS)
    try:
        vectors = embedder.embed(texts)
    finally:
        slots.release(caller.user_id)
    if dimensions is not None and dimensions != len(vectors[0]):
        raise InvalidInput({"dimensions": [f"The model has {len(vectors[0])} dimensions."]})
    if encoding == "base64":
        return Embeddings([base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors], tokens)
    return Embeddings([vector.tolist() for vector in vectors], tokens)


def _read_texts(inputs: Sequence[str | Sequence[int]]) -> list[str]:
    """Return the texts of inputs; raises InvalidInput for tokens that are none, say too much or cannot be read here."""
    texts: list[str] = []
    left = MAX_DECODED_LENGTH
    for item in inputs:
        text = item if isinstance(item, str) else _decode(item)
        left -= len(text)
        if len(text) > MAX_TEXT_LENGTH or left < 0:
            raise InvalidInput({"input": ["Too long."]})
        texts.append(text)
    return texts


def _decode(tokens: Sequence[int]) -> str:
    try:
        text = token_counts.decode(tokens)
    except ValueError as error:
        raise InvalidInput({"input": ["Not tokens of OpenAI's embedders (cl100k_base)."]}) from error
    if text is None:
        raise InvalidInput({"input": ["Tokens cannot be read here; send texts (check_embedding_ctx_length=False)."]})
    return text


def _find_collection(caller: Caller, model: str) -> UUID | None:
    """Return the readable collection of a model's name or, after `collection:`, of an id; None where there is none."""
    if not model.startswith(COLLECTION):
        return None
    collections = _collections(caller)
    identifier = model.removeprefix(COLLECTION)
    if ID.fullmatch(identifier):
        return UUID(identifier) if UUID(identifier) in collections.values() else None
    return collections.get(model)


def _collections(caller: Caller) -> dict[str, UUID]:
    """Return the readable collections by the name of their model.

    Names are given to the caller's own collections first, then to the operator's, then to those that the caller is a
    member of; of one owner the older ones come first. A name that memberships of different owners share is given to
    none of them, so that no owner takes it from another by renaming. All others go by their ids, as do collections that
    other users share with all.
    """
    rank = sa.case(
        (Collection.owner_id == caller.user_id, 0),
        (Collection.owner_id.is_(None), 1),
        (searched_by_default(caller), 2),
        else_=3,
    )
    columns = (Collection.id, Collection.name, Collection.owner_id, rank.label("rank"))
    statement = sa.select(*columns).where(may_read(caller))
    with read() as connection:
        rows = connection.execute(statement.order_by(rank, Collection.created_at, Collection.id)).all()
    owners: defaultdict[str, set[UUID]] = defaultdict(set)
    for row in rows:
        if row.rank == 2:
            owners[row.name].add(row.owner_id)
    collections: dict[str, UUID] = {}
    for row in rows:
        name = f"{COLLECTION}{row.name}"
        is_contested = row.rank == 2 and len(owners[row.name]) > 1
        has_no_name = row.rank == 3 or is_contested or name in collections or ID.fullmatch(row.name)
        collections[f"{COLLECTION}{row.id}" if has_no_name else name] = row.id
    return collections
