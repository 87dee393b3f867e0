"""Prompts that a caller brings along whole, the models and collections that may be asked, and vectors of texts."""

import base64
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from chatbot import adapters
from chatbot.database.transactions import read
from chatbot.errors import ModelNotFound
from chatbot.models import Collection
from chatbot.rag import token_counts
from chatbot.rag.types import Message, Role
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge.permissions import may_read, searched_by_default
from chatbot.services.knowledge.state import knowledge_state

from .running_turns import GenerationRequest

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
PARAMETERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")
COLLECTION = "collection:"
ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def models(caller: Caller) -> list[str]:
    """Return the names that may be asked; raises ModelUnavailable.

    They are the models, the first one first, the embedder, and `collection:` with each collection that may be read.
    """
    return [*adapters.model_names(current_app.config), knowledge_state().embedder().space, *_collections(caller)]


def require_model(caller: Caller, name: str) -> str:
    """Return a name that may be asked; raises ModelNotFound, ModelUnavailable."""
    if (
        name in adapters.model_names(current_app.config)
        or name == knowledge_state().embedder().space
        or name in _collections(caller)
    ):
        return name
    raise ModelNotFound(f"The model {name!r} does not exist here; GET /v1/models lists those that do.")


def generation_request(caller: Caller, wanted: dict[str, Any]) -> tuple[str, list[UUID] | None, GenerationRequest]:
    """Read a validated request; returns what the user said last, the collections to answer from, and what to ask.

    Raises ModelNotFound, ModelUnavailable.
    """
    model, names = wanted["model"], adapters.model_names(current_app.config)
    collection = _collections(caller).get(model) if model.startswith(COLLECTION) else None
    if model not in names and collection is None:
        raise ModelNotFound(f"The model {model!r} does not exist here; GET /v1/models lists those that do.")
    messages = [Message(ROLES[one["role"]], one["content"]) for one in wanted["messages"]]
    parameters = {name: wanted[name] for name in PARAMETERS if wanted.get(name) is not None}
    most = wanted.get("max_completion_tokens") or wanted.get("max_tokens")
    if most:
        parameters["max_tokens"] = most
    last = next(
        at for at in reversed(range(len(messages))) if messages[at].role == "user" and messages[at].content.strip()
    )
    if collection is None:
        return messages[last].content, None, GenerationRequest(None, messages, parameters, model)
    return messages[last].content, [collection], GenerationRequest(messages[:last], (), parameters, names[0])


def embed(model: str, texts: Sequence[str], encoding: str) -> tuple[list[Any], int]:
    """Return a vector for each text, and about how many tokens they took.

    `encoding` is `float` for numbers, `base64` for little-endian 32-bit floats. Raises ModelNotFound, and
    `rag.errors.EmbedderError`.
    """
    embedder = knowledge_state().embedder()
    if model != embedder.space:
        raise ModelNotFound(f"Texts are embedded here by the model {embedder.space!r}.")
    vectors = embedder.embed(texts)
    if encoding == "base64":
        shown: list[Any] = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    else:
        shown = [vector.tolist() for vector in vectors]
    return shown, sum(map(token_counts.estimate, texts))


def _collections(caller: Caller) -> dict[str, UUID]:
    """Return the readable collections by the name of their model.

    Names are given to the caller's own collections first, then to the operator's, then to those that the caller is a
    member of, the older ones before the newer; the others of the same name go by their ids, and so does whatever other
    users share with everybody: nobody takes a name from another.
    """
    rank = sa.case(
        (Collection.owner_id == caller.user_id, 0),
        (Collection.owner_id.is_(None), 1),
        (searched_by_default(caller), 2),
        else_=3,
    )
    statement = sa.select(Collection.id, Collection.name, rank.label("rank")).where(may_read(caller))
    found: dict[str, UUID] = {}
    with read() as connection:
        for row in connection.execute(statement.order_by(rank, Collection.created_at, Collection.id)):
            name = f"{COLLECTION}{row.name}"
            has_no_name = row.rank == 3 or name in found or ID.fullmatch(row.name)  # what looks like an id is one
            found[f"{COLLECTION}{row.id}" if has_no_name else name] = row.id
    return found
