"""Settings that bound how much one user, one address or one document may take.

docs/security.md tells which attack each of them stops. As `config`, this module imports nothing of the application.
"""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Range, Regexp

# "10 per 10 second; 100 per hour": a subset of Flask-Limiter's notation that says what it means.
RATE = Regexp(
    r"^\s*\d+ per (\d+ )?(second|minute|hour|day)(\s*;\s*\d+ per (\d+ )?(second|minute|hour|day))*\s*\Z",
    error="Must read like '10 per minute; 100 per hour'.",
)


def setting(kind: Any, default: Any, why: str, check: Any = None, **options: Any) -> Any:
    """Return a field of a setting: its type, its default, one line of why and a validator."""
    return kind(load_default=default, allow_none=default is None, validate=check, metadata={"why": why}, **options)


def _number(default: int, why: str) -> Any:
    return setting(fields.Integer, default, why, Range(1, 1 << 50))


def _seconds(default: float, why: str) -> Any:
    return setting(fields.Float, default, why, Range(0.01, 3600))


def _rate(default: str, why: str) -> Any:
    return setting(fields.String, default, why, RATE)


class Bounds(Schema):
    """The bounds of users, addresses and documents."""

    DOCUMENT_BYTES = setting(fields.Integer, 20 << 20, "Largest document, in bytes", Range(1, 1 << 30))
    KNOWLEDGE_BYTES = _number(1 << 30, "All that is stored of one user's documents, in bytes")
    COLLECTIONS_PER_USER = _number(100, "Collections of one user, and as many of others that they are a member of")
    MEMBERS_PER_COLLECTION = _number(500, "Members and invitations of one collection")
    ROOMS_PER_USER = _number(100, "Rooms that one user has made")
    MEMBERSHIPS_PER_USER = _number(1000, "Rooms of one user, beyond which others cannot add them to one")
    MEMBERS_PER_ROOM = _number(500, "Members of one room")
    DOCUMENTS_WAITING_PER_USER = _number(1000, "Documents of one user that wait to be read")
    PARSER_SECONDS_PER_USER = _number(1800, "What reading one user's documents may take in a day, in seconds")
    TURN_SLOTS = setting(fields.Integer, 2048, "Answers that one process works on at a time", Range(1, 100_000))
    TURNS_PER_USER = _number(8, "Of these, answers to one user")
    LLM_SLOTS = setting(
        fields.Integer,
        None,
        "Answers that the model writes at a time; users take turns; default: 4 of the embedded model, else no bound",
        Range(1, 100_000),
    )
    LLM_QUEUE_SECONDS = _seconds(120.0, "How long a turn may wait for one of LLM_SLOTS")
    REQUESTS_PER_USER = _number(32, "Requests of one user at a time, in one process")
    STREAMS_PER_USER = _number(32, "Open event streams of one user, in one process")
    CONNECTIONS_PER_ADDRESS = _number(512, "Open connections from one address, where TRUSTED_PROXIES is 0")
    BODY_READ_SECONDS = _seconds(10.0, "Gives up on a body of which nothing comes for so long")
    BODY_TOTAL_SECONDS = _seconds(60.0, "Gives up on a body as a whole; each 16 KB that came add a second")
    SEND_SECONDS = _seconds(30.0, "Gives up on a client that takes nothing of its answer for so long")
    RATELIMIT_ENABLED = setting(fields.Boolean, True, "Off only for load tests; bounds per user go with it")
    RATE_LOGIN_ACCOUNT = _rate("10 per minute; 60 per hour", "Logins on one account from one address")
    RATE_LOGIN_TOTAL = _rate("100 per hour", "Logins on one account in all; beyond it, slow")
    RATE_LOGIN_ADDRESS = _rate("30 per minute; 300 per hour", "Logins from one address")
    RATE_LOGIN_GLOBAL = _rate("600 per minute", "First logins from new addresses, together; beyond it, slow")
    RATE_SIGNUP_ADDRESS = _rate("10 per minute; 50 per hour", "Sign-ups from one address")
    RATE_SIGNUP_GLOBAL = _rate("300 per minute", "Sign-ups of everybody together; beyond it, slow")
    RATE_MAIL_ADDRESS = _rate("10 per minute; 60 per hour", "Requests for mails from one address")
    RATE_REFRESH_ADDRESS = _rate("120 per minute", "Token refreshes from one address")
    RATE_CHAT_USER = _rate("60 per minute", "Messages of one user")
    RATE_CHAT_ADDRESS = _rate("300 per minute", "Messages from one address")
    RATE_SEARCH_USER = _rate("300 per minute", "Searches of one user")
    RATE_READ_USER = _rate("1200 per minute", "What one user reads")
    RATE_WRITE_USER = _rate("300 per minute", "What one user changes, apart from the above")
    RATE_PUBLIC_ADDRESS = _rate("600 per minute", "What needs no login, from one address")
    RATE_CLIENT_USER = _rate("60 per minute; 1000 per day", "Users that one client signs in for the first time")
    RATE_FORK_USER = _rate("300 per day", "Forks of one user; each MiB that one copies counts as another")
    RATE_ROOM_MESSAGE_USER = _rate("10 per 10 second", "Messages of one user in one room")
    RATE_DOCUMENT_USER = _rate("600 per minute", "Documents that one user sends")
