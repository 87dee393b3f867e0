"""Turns of others, which an administrator reads for a reason."""

from uuid import UUID

import sqlalchemy as sa

from chatbot.database.transactions import read, write
from chatbot.errors import NotFound
from chatbot.models import ChatMessage, User
from chatbot.services.accounts.authentication import require_admin
from chatbot.services.accounts.callers import Caller
from chatbot.services.administration import audit
from chatbot.services.chat import following, grounding
from chatbot.services.chat.records import Trace, Turn


def read_turn(caller: Caller, turn_id: UUID, reason: str) -> Turn:
    """Return a turn of any user; the reason is in the audit log, and in the user's access log, before it is read.

    Raises Forbidden, NotFound.
    """
    return following.get_turn(_enter(caller, turn_id, action="turn_read", reason=reason), turn_id)


def read_trace(caller: Caller, turn_id: UUID, reason: str) -> Trace:
    """Return the trace of a turn of any user, for a reason as `read_turn` has it; raises Forbidden, NotFound."""
    return grounding.get_trace(_enter(caller, turn_id, action="trace_read", reason=reason), turn_id)


def _enter(caller: Caller, turn_id: UUID, *, action: audit.ReadAction, reason: str) -> Caller:
    """Record a reading, and return the turn's user as its caller."""
    require_admin(caller)
    statement = sa.select(ChatMessage.user_id, User.role).join(User, User.id == ChatMessage.user_id)
    with read() as connection:
        owner = connection.execute(statement.where(ChatMessage.id == turn_id)).one_or_none()
    if owner is None:
        raise NotFound("There is no such turn.")
    with write("read_turn") as connection:
        audit.record(connection, caller, action, owner.user_id, reason=reason, turn_id=str(turn_id))
    return Caller(owner.user_id, caller.credential_id, owner.role)
