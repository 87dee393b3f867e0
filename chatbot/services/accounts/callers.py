"""The caller of a use case: a user in a session, or the operator."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the session of their request."""

    user_id: UUID
    session_id: UUID
    role: str


OPERATOR = Caller(UUID(int=0), UUID(int=0), "admin")  # of `flask` commands; has no account
