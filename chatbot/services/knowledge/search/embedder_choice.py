"""Which embedder embeds: the one that the settings name, or the embedded one where the model's server has none."""

from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog
from flask import current_app

from chatbot import adapters
from chatbot.database.transactions import read
from chatbot.models import EmbeddingSpace
from chatbot.rag.errors import EmbedderError, EmbeddingsMissing
from chatbot.services.knowledge.state import get_knowledge_state

PROBE_TEXT = "hello"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ActiveSpace:
    """The space that is searched: the adapter and the model of its vectors, and their dimension."""

    adapter: str
    model: str
    dimension: int


ACTIVE = sa.select(EmbeddingSpace.adapter, EmbeddingSpace.model, EmbeddingSpace.dimension).where(EmbeddingSpace.active)


def find_active_space() -> ActiveSpace | None:
    """Return the space that is searched, None while nothing is embedded."""
    with read() as connection:
        row = connection.execute(ACTIVE).one_or_none()
    return None if row is None else ActiveSpace(**row._mapping)


def find_active_adapter() -> str:
    """Return the adapter of the space that is searched; the configured one while nothing is embedded."""
    active = find_active_space()
    return get_knowledge_state().embedder_settings.adapter if active is None else active.adapter


def ensure_probed() -> None:
    """Let the embedded embedder stand in for the default one, once, where the model's server has no embeddings.

    Vectors of that server are never given up for one answer of it. Where the embedded embedder stood in before, it
    does so again until the server answers. Raises EmbedderError.
    """
    state = get_knowledge_state()
    if state.is_embedder_probed:
        return
    configured = adapters.get_embedder_settings(current_app.config)
    if not adapters.is_embedder_chosen(current_app.config) and configured.adapter == "openai":
        active = find_active_space()
        if active is None or active.adapter != configured.adapter:
            if active is not None:
                state.embedder_settings = replace(configured, adapter=active.adapter)
            state.embedder_settings = _probe_default(configured)
    state.is_embedder_probed = True


def reprobe() -> None:
    """Take the default embedder where it is found after all, by this process or by another one, which embedded with it.

    One answer may have come from a server that was starting; the embedded embedder stands in until then.
    """
    state = get_knowledge_state()
    configured = adapters.get_embedder_settings(current_app.config)
    if not state.is_embedder_probed or state.embedder_settings == configured:
        return
    active = find_active_space()
    if active is None or active.adapter != configured.adapter:
        try:
            state.embedder(configured.adapter, configured.model).embed([PROBE_TEXT])
        except EmbedderError:
            return
    log.info("the default embedder is there")
    state.embedder_settings = configured


def _probe_default(configured: adapters.EmbedderSettings) -> adapters.EmbedderSettings:
    """Return the settings of the default embedder, or of the embedded one where it is missing; raises EmbedderError."""
    try:
        get_knowledge_state().embedder(configured.adapter, configured.model).embed([PROBE_TEXT])
    except EmbeddingsMissing as error:
        log.warning("the embedded embedder stands in", detail=error.detail)
        return replace(configured, adapter=adapters.EMBEDDED_EMBEDDER)
    return configured
