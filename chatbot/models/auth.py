"""Users, their sessions and their API keys."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.database.base import Model
from chatbot.database.types import Id, Time, now

# Folding makes some names longer, mostly at most three times; what outgrows this is refused.
MAX_EMAIL_KEY_LENGTH = 254 * 3
MAX_USERNAME_KEY_LENGTH = 32 * 3
IS_ERASED = sa.text("erasure_id IS NOT NULL")


class User(Model):
    """An account. The `_key` columns are folded forms that make names unique without regard to case.

    One with an `erasure_id` is being erased: it is disabled, and its names are placeholders.
    """

    __tablename__ = "users"
    __table_args__ = (
        sa.Index(None, "created_at", "id"),
        sa.Index("ix_users_erased", "erasure_id", sqlite_where=IS_ERASED, postgresql_where=IS_ERASED),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(MAX_EMAIL_KEY_LENGTH), unique=True)
    username: Mapped[str] = mapped_column(sa.String(32))
    username_key: Mapped[str] = mapped_column(sa.String(MAX_USERNAME_KEY_LENGTH), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(60))
    role: Mapped[str] = mapped_column(sa.String(8), default="user")
    email_verified: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Time] = mapped_column(default=now)
    disabled_at: Mapped[Time | None]
    erasure_id: Mapped[UUID | None]


class Session(Model):
    """A login on one device. Refresh tokens are stored as hashes: the current one and its parent.

    Each refresh token with its access tokens is a generation. It has been seen when it was used: from then on its
    parent must be gone. `previous_issued_at` and `previous_seen_at` are of the parent's generation.
    """

    __tablename__ = "sessions"

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), index=True)
    refresh_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    previous_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    access_jti: Mapped[str | None] = mapped_column(sa.String(32))  # of the generation's access tokens
    created_at: Mapped[Time] = mapped_column(default=now)
    rotated_at: Mapped[Time] = mapped_column(default=now)
    seen_at: Mapped[Time | None]
    previous_issued_at: Mapped[Time | None]
    previous_seen_at: Mapped[Time | None]
    expires_at: Mapped[Time] = mapped_column(index=True)
    ended_at: Mapped[Time | None]
    last_used_at: Mapped[Time | None]
    user_agent: Mapped[str | None] = mapped_column(sa.String(256))  # of the device
    network: Mapped[str | None] = mapped_column(sa.String(43))  # of its address


class ApiKey(Model):
    """A credential without login. Its secret is stored as a hash; the first and last characters tell it from others."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    secret_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    prefix: Mapped[str] = mapped_column(sa.String(8))
    last4: Mapped[str] = mapped_column(sa.String(4))
    scopes: Mapped[list[str]] = mapped_column(sa.JSON)
    created_at: Mapped[Time] = mapped_column(default=now)
    expires_at: Mapped[Time] = mapped_column(index=True)
    last_used_at: Mapped[Time | None]
    budget_id: Mapped[int | None]  # without a foreign key: `usage` is above this module
    is_hidden: Mapped[bool] = mapped_column(default=False)  # made for a login elsewhere, not by its user
    granted_by: Mapped[UUID | None]  # of a client token: the user whose collections it opens
    granted_ids: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))

    __table_args__ = (sa.Index(None, "user_id", "created_at", "id"), sa.Index(None, "budget_id"))


class ExternalIdentity(Model):
    """A user of another service and their account here, which has no password."""

    __tablename__ = "external_identities"

    issuer: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), unique=True)
    login_key_id: Mapped[UUID | None]  # of the API key that stands for logins with tokens of the issuer
    created_at: Mapped[Time] = mapped_column(default=now)
