"""Work that only one process does at a time."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model

from .types import Time


class Lease(Model):
    """The right to do named work until `expires_at`; `token` rises with each holder and fences off old ones."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    token: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    expires_at: Mapped[Time | None]
    last_run_at: Mapped[Time | None]
    heartbeat_at: Mapped[Time | None]
    not_before: Mapped[Time | None]
