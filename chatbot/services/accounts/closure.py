"""The end of an account: its credentials go at once, its data later."""

from uuid import UUID, uuid4

import sqlalchemy as sa

from chatbot.database.types import now
from chatbot.models import ApiKey, IdempotencyKey, Mail, MailToken, Session, User

NO_PASSWORD = "-"  # noqa: S105 - no password has this hash
SECRETS: tuple[sa.Delete, ...] = tuple(
    sa.delete(model).where(model.user_id == sa.bindparam("closed_id", type_=sa.Uuid()))
    for model in (Session, ApiKey, MailToken, IdempotencyKey)
)


def close(connection: sa.Connection, user_id: UUID, erasure_id: UUID) -> None:
    """Disable an account before its data is erased: its credentials and mails go, its names are free again."""
    email = sa.func.lower(sa.select(User.email).where(User.id == user_id).scalar_subquery())
    connection.execute(sa.delete(Mail).where(sa.or_(Mail.user_id == user_id, sa.func.lower(Mail.recipient) == email)))
    for statement in SECRETS:
        connection.execute(statement, {"closed_id": user_id})
    name = f"erased-{uuid4().hex[:24]}"  # nothing of the receipt's id, which is a secret
    address = f"{name}@erased.invalid"
    values = {
        "email": address,
        "email_key": address,
        "username": name,
        "username_key": name,
        "password_hash": NO_PASSWORD,
        "email_verified": False,
        "role": "user",
        "disabled_at": now(),
        "erasure_id": erasure_id,
    }
    connection.execute(sa.update(User).where(User.id == user_id).values(values))
