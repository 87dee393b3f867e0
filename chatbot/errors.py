"""The application's errors. No HTTP: `schemas/problem.py` has the status of each."""

from collections.abc import Mapping
from typing import Any


class ChatbotError(Exception):
    """Anything that this application refuses; its text may be shown to the caller."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class InvalidInput(ChatbotError):
    """A value that no schema can judge by itself; `errors` maps field names to messages."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("The input is not valid.")
        self.errors = errors


class MalformedBody(ChatbotError):
    """A body that is not the strict JSON object which is expected."""


class UnsupportedMediaType(ChatbotError):
    """A body of another type than JSON."""


class Unauthenticated(ChatbotError):
    """No credential, or one that is not valid (any more)."""


class SessionEnded(Unauthenticated):
    """The session of a token has ended for good: its user has to log in again."""


class TokenSpent(ChatbotError):
    """The token of a mail's link proves nothing: it was used, has expired or is none of ours."""


class CodeWrong(ChatbotError):
    """A code of a mail is wrong, has expired or was guessed too often."""


class MailOff(ChatbotError):
    """The operator lets no mails be sent."""


class InvalidCredentials(ChatbotError):
    """Wrong e-mail address or password, or an account that is disabled: which one is never told."""


class NotFound(ChatbotError):
    """Absent, or another user's."""


class EmailTaken(ChatbotError):
    """Another account has this e-mail address."""


class UsernameTaken(ChatbotError):
    """Another account has this username."""


class ConversationBusy(ChatbotError):
    """The conversation's last turn is still running."""


class TurnFailed(ChatbotError):
    """The turn that a caller waited for ended without an answer; `name` is that of the error's class."""

    def __init__(self, name: str, *, retry_after: float | None = None) -> None:
        super().__init__(retry_after=retry_after)
        self.name = name


class ModelNotFound(ChatbotError):
    """No model of this name may be asked here."""


class Cancelled(ChatbotError):
    """The turn was cancelled, by its user or another device."""


class NotRunning(ChatbotError):
    """The turn has ended already."""


class NotTheLastTurn(ChatbotError):
    """The conversation went on after this turn."""


class NoAnswer(ChatbotError):
    """The conversation has no turn with an answer."""


class TooManySiblings(ChatbotError):
    """A message has as many answers as one may have."""


class TooManyShares(ChatbotError):
    """A conversation has as many shares as one may have."""


class IdempotencyKeyReused(ChatbotError):
    """The key was used with another body before."""


class Forbidden(ChatbotError):
    """Known, but not allowed to this caller."""


class ReauthenticationRequired(Forbidden):
    """The login of a session is too long ago for a sensitive act."""


class EmailUnverified(Forbidden):
    """The user has not verified their e-mail address, which this deployment requires."""


class LastAdmin(ChatbotError):
    """No administrator would be left."""


class ScopeMissing(Forbidden):
    """The API key has no scope for this."""


class TooManyBuckets(ChatbotError):
    """A report of more buckets or days than one may have."""


class TooManyApiKeys(ChatbotError):
    """More API keys than one user may have."""


class DefaultCollection(ChatbotError):
    """A user's default collection cannot be deleted."""


class MemberLeft(ChatbotError):
    """Users that left a collection or a room cannot be added again."""


class ExternalIdTaken(ChatbotError):
    """Another document of the collection, or another conversation of the user, has this external id."""


class RevisionMismatch(ChatbotError):
    """The resource has changed since the revision that the request names."""


class CursorExpired(ChatbotError):
    """A cursor of sync cannot be continued; the client begins without one."""


class LastOwner(ChatbotError):
    """A room keeps an owner while it has members."""


class RoomFull(ChatbotError):
    """A room has as many members as one may have."""


class BotOff(ChatbotError):
    """A private question in a room without the bot."""


class BotBusy(ChatbotError):
    """As many questions wait for the bot of a room as may."""


class AudienceChanged(ChatbotError):
    """A reader of an answer may not read its sources any more."""


class TooManyRooms(ChatbotError):
    """A user has made as many rooms, or is in as many, as one may."""


class TooManySockets(ChatbotError):
    """A user has as many open sockets as one may have."""


class TooManyInvites(ChatbotError):
    """A room has as many open invites as one may have."""


class NotFailed(ChatbotError):
    """Only a document that failed can be tried again."""


class QuotaExceeded(ChatbotError):
    """More bytes than the collection's owner may keep."""


class BudgetExhausted(ChatbotError):
    """A budget has no room for a turn; `budget` has its metric, window, limit, and use."""

    def __init__(
        self, detail: str = "", *, budget: Mapping[str, Any] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.budget = budget


class DocumentTooLarge(ChatbotError):
    """More bytes than one document may have."""


class GaveUp(ChatbotError):
    """The processing of a document broke off again and again."""


class TooManyRequestsAtOnce(ChatbotError):
    """A user has as many open requests as one may have."""


class TooManyStreams(ChatbotError):
    """A user has as many open event streams as one may have."""


class TooManyTurns(ChatbotError):
    """A user has as many running turns as one may have."""


class TooManyDocuments(ChatbotError):
    """A user has as many waiting documents as one may have, or their reading took too long today."""


class TooManyCollections(ChatbotError):
    """A user has as many collections as one may have, or a collection as many members."""


class Busy(ChatbotError):
    """More work waits than can be done soon."""


class DatabaseBusy(ChatbotError):
    """Another process held the database's lock for too long."""


class DatabaseUnavailable(ChatbotError):
    """The database cannot be reached."""


class DatabaseDamaged(DatabaseUnavailable):
    """The database's file is damaged, and does not mend itself."""


class StorageFull(ChatbotError):
    """The database cannot grow or cannot be written."""


class SuspiciousClock(ChatbotError):
    """The clock jumped, so that nothing is deleted by its word alone."""


class LeaseLost(ChatbotError):
    """Another process has taken over this work."""


class CannotServe(ChatbotError):
    """A process cannot serve; the text has the remedy."""


class BackupRefused(ChatbotError):
    """A file that is no whole backup, or cannot become one, or does not belong into this database."""


class WrongSchema(CannotServe):
    """The database's schema is not the one of this version."""
