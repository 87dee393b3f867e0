"""The caller of a use case: a user in a session or with an API key, or the operator."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Grant:
    """Collections of one user, which another one's client token opens as long as that user may read them."""

    granted_by: UUID
    collection_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the credential of their request.

    `scopes` are those of an API key; None: a session, which may do all that its user may. Without `has_budgets` no
    budget is looked for; `budget_id` is that of an API key. With a `grant`, of a client token, its collections are
    all that the caller may read. With `is_unverified` they may verify their e-mail address and change their account.
    """

    user_id: UUID
    credential_id: UUID  # of the session or the API key
    role: str
    scopes: frozenset[str] | None = None
    has_budgets: bool = True
    budget_id: int | None = None
    grant: Grant | None = None
    is_unverified: bool = False

    def to_log_fields(self) -> dict[str, UUID]:
        """Return the user's and the credential's ids as fields of the security log."""
        credential = "session_id" if self.scopes is None else "api_key_id"
        return {"user_id": self.user_id, credential: self.credential_id}


OPERATOR = Caller(UUID(int=0), UUID(int=0), "admin")  # of `flask` commands; has no account
