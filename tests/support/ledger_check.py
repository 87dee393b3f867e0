"""The ledger beside the turns, as both are in a database after a run."""

from pathlib import Path

import sqlalchemy as sa

from chatbot.models import ChatMessage, LedgerEntry

SHARED = ("status", "error", "model", "prompt_tokens", "completion_tokens", "grounded", "user_id", "conversation_id")


def count_differences(url: str | None, folder: Path) -> int:
    """Return how many turns have no entry or another one, and how many entries have no turn.

    `url` is a `DATABASE_URL`, whose file of SQLite is in the folder. Only for databases of which nothing was deleted.
    """
    url = url or "sqlite:///chatbot.db"
    if url.startswith("sqlite:///"):
        engine = sa.create_engine(f"sqlite:///{folder / url.removeprefix('sqlite:///')}")
    else:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    pairs = [(getattr(ChatMessage, name), getattr(LedgerEntry, name)) for name in SHARED]
    differs = sa.or_(LedgerEntry.turn_id.is_(None), *(one.is_distinct_from(other) for one, other in pairs))
    entry = LedgerEntry.turn_id == ChatMessage.id
    turns = sa.select(sa.func.count()).select_from(ChatMessage).join(LedgerEntry, entry, isouter=True).where(differs)
    alone = sa.select(sa.func.count()).select_from(LedgerEntry).where(~sa.exists().where(entry))
    try:
        with engine.connect() as connection:
            return (connection.scalar(turns) or 0) + (connection.scalar(alone) or 0)
    finally:
        engine.dispose()
