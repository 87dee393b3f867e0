"""Whether this process can serve."""

import sqlalchemy as sa

from ..errors import ChatbotError
from ..rag.errors import LLMError
from . import turns, wiring
from .transactions import read


def checks() -> dict[str, str]:
    """Return `ok` or what is wrong, by part. Without its database nothing can be served; without a model, much."""
    return {"database": _database(), "model": _model(), "turns": "draining" if turns.is_draining() else "ok"}


def _database() -> str:
    try:
        with read() as connection:
            connection.execute(sa.select(1))
    except ChatbotError as error:
        return error.detail
    return "ok"


def _model() -> str:
    try:
        wiring.llm()
    except LLMError as error:
        return error.detail
    return "ok"
