"""The one table: error -> code, status, title. RFC 9457 problem documents are made from it."""

from dataclasses import dataclass

from marshmallow import Schema, fields

from chatbot import errors
from chatbot.rag import errors as rag


@dataclass(frozen=True, slots=True)
class Problem:
    """The public form of an error: a stable code, an HTTP status, a title, and whether a retry may help."""

    code: str
    status: int
    title: str
    retryable: bool = False


PROBLEMS: dict[type[Exception], Problem] = {
    errors.InvalidInput: Problem("validation_failed", 400, "The input is not valid."),
    errors.MalformedBody: Problem("malformed_body", 400, "The body is not the JSON object that is expected."),
    errors.Unauthenticated: Problem("unauthenticated", 401, "A valid token is needed."),
    errors.SessionEnded: Problem("session_ended", 401, "The session has ended; log in again."),
    errors.TokenSpent: Problem("token_spent", 400, "The link was used already or has expired."),
    errors.CodeWrong: Problem("code_wrong", 400, "The code is wrong or has expired."),
    errors.MailOff: Problem("mail_off", 503, "This service sends no mails."),
    errors.InvalidCredentials: Problem("invalid_credentials", 401, "The e-mail address or the password is wrong."),
    errors.NotFound: Problem("not_found", 404, "Not found."),
    errors.ModelNotFound: Problem("model_not_found", 404, "There is no such model here."),
    errors.EmailTaken: Problem("email_taken", 409, "This e-mail address is taken."),
    errors.UsernameTaken: Problem("username_taken", 409, "This username is taken."),
    errors.ConversationBusy: Problem("conversation_busy", 409, "The last turn is still running.", True),
    errors.Cancelled: Problem("cancelled", 409, "The turn was cancelled."),
    errors.NotRunning: Problem("not_running", 409, "The turn has ended."),
    errors.NotTheLastTurn: Problem("not_the_last_turn", 409, "Only the last turn can be answered again."),
    errors.NoAnswer: Problem("no_answer", 409, "The conversation has no answer yet."),
    errors.IdempotencyKeyReused: Problem("idempotency_key_reused", 422, "This key came with another body before."),
    errors.Forbidden: Problem("forbidden", 403, "This is not allowed."),
    errors.ReauthenticationRequired: Problem("reauthentication_required", 403, "Log in again for this."),
    errors.EmailUnverified: Problem("email_unverified", 403, "The e-mail address is not verified yet."),
    errors.LastAdmin: Problem("last_admin", 409, "No administrator would be left."),
    errors.ScopeMissing: Problem("scope_missing", 403, "The API key has no scope for this."),
    errors.TooManyBuckets: Problem("too_many_buckets", 400, "The report has too many buckets."),
    errors.TooManyApiKeys: Problem("too_many_api_keys", 409, "Too many API keys."),
    errors.DefaultCollection: Problem("default_collection", 409, "This collection cannot be deleted."),
    errors.MemberLeft: Problem("member_left", 409, "They left, and nobody else brings them back."),
    errors.ExternalIdTaken: Problem("external_id_taken", 409, "Another one has this external id."),
    errors.CursorExpired: Problem("cursor_expired", 410, "The cursor cannot be continued."),
    errors.RevisionMismatch: Problem("revision_mismatch", 412, "The resource has changed since."),
    errors.NotFailed: Problem("not_failed", 409, "Only a document that failed can be tried again."),
    errors.QuotaExceeded: Problem("quota_exceeded", 413, "There is no room for more documents."),
    errors.DocumentTooLarge: Problem("document_too_large", 413, "The document is too large."),
    errors.GaveUp: Problem("gave_up", 503, "The document's processing broke off again and again.", True),
    errors.UnsupportedMediaType: Problem("unsupported_media_type", 415, "The body must be application/json."),
    errors.TooManyRequestsAtOnce: Problem("too_many_requests_at_once", 429, "Too many open requests.", True),
    errors.TooManyStreams: Problem("too_many_streams", 429, "Too many open event streams.", True),
    errors.TooManyTurns: Problem("too_many_turns", 429, "Too many answers are being written for you.", True),
    errors.TooManyDocuments: Problem("too_many_documents", 429, "Too many documents wait or were read.", True),
    errors.BudgetExhausted: Problem("budget_exhausted", 429, "The budget has too little left."),
    errors.TooManySiblings: Problem("too_many_siblings", 409, "The message has too many answers."),
    errors.TooManyShares: Problem("too_many_shares", 409, "The conversation has too many shares."),
    errors.TooManyCollections: Problem("too_many_collections", 409, "Too many collections or members."),
    errors.LastOwner: Problem("last_owner", 409, "A room needs an owner."),
    errors.RoomFull: Problem("room_full", 409, "The room has as many members as one may have."),
    errors.BotOff: Problem("bot_off", 409, "The room has no bot."),
    errors.BotBusy: Problem("bot_busy", 429, "Too many questions wait for the bot of this room.", True),
    errors.AudienceChanged: Problem("audience_changed", 409, "A member may not read the sources any more."),
    errors.TooManyRooms: Problem("too_many_rooms", 409, "Too many rooms."),
    errors.TooManySockets: Problem("too_many_sockets", 429, "Too many open sockets.", True),
    errors.TooManyInvites: Problem("too_many_invites", 409, "The room has too many open invites."),
    errors.Busy: Problem("busy", 503, "The service is overloaded; retry later.", True),
    errors.DatabaseBusy: Problem("database_busy", 503, "The database is busy; retry later.", True),
    errors.DatabaseUnavailable: Problem("database_unavailable", 503, "The database cannot be reached.", True),
    errors.StorageFull: Problem("storage_full", 503, "Nothing can be stored at the moment.", True),
    errors.LeaseLost: Problem("interrupted", 503, "The turn was interrupted.", True),
    rag.ModelUnavailable: Problem("model_unavailable", 503, "The configured model is not available.", True),
    rag.UnknownAdapter: Problem("model_unavailable", 503, "The configured model is not available.", True),
    rag.MissingLibrary: Problem("model_unavailable", 503, "The configured model is not available.", True),
    rag.UpstreamUnreachable: Problem("upstream_unreachable", 503, "The model cannot be reached.", True),
    rag.UpstreamDown: Problem("upstream_down", 503, "The model's server is down; it is tried again soon.", True),
    rag.UpstreamBusy: Problem("upstream_busy", 503, "The model is overloaded.", True),
    rag.UpstreamTimeout: Problem("upstream_timeout", 504, "The model took too long.", True),
    rag.UpstreamFailed: Problem("upstream_failed", 502, "The model's server failed.", True),
    rag.UpstreamIncomplete: Problem("upstream_incomplete", 502, "The model's answer broke off.", True),
    rag.UpstreamGarbled: Problem("upstream_garbled", 502, "The model's server sent no valid answer.", True),
    rag.ParameterRefused: Problem("unsupported_parameter", 400, "The model does not take a parameter of this request."),
    rag.PromptTooLong: Problem("context_length_exceeded", 400, "The prompt is too long for the model."),
    rag.UpstreamRefused: Problem("upstream_refused", 502, "The model's server refused this request."),
    rag.UpstreamDenied: Problem("upstream_denied", 502, "The model's server does not accept this service."),
    rag.TypeMismatch: Problem("type_mismatch", 415, "The file is not what its name says."),
    rag.UnsupportedType: Problem("unsupported_document", 415, "Documents of this type cannot be read."),
    rag.UnreadableDocument: Problem("unreadable_document", 415, "The document cannot be read."),
    rag.ParserCrashed: Problem("parser_crashed", 503, "The document could not be read.", True),
    rag.ParserTimeout: Problem("parser_timeout", 503, "The document took too long to read.", True),
    rag.AddressRefused: Problem("address_refused", 502, "The address cannot be fetched."),
    rag.EmbedderError: Problem("embedder_failed", 502, "The embedder failed.", True),
    rag.RerankerError: Problem("reranker_failed", 502, "The reranker failed.", True),
    rag.UpstreamQuotaExhausted: Problem("upstream_quota_exhausted", 502, "The model's budget is used up."),
}

# What the framework raises, by status.
BY_STATUS: dict[int, Problem] = {
    400: Problem("bad_request", 400, "The request is not valid."),
    403: PROBLEMS[errors.Forbidden],
    404: PROBLEMS[errors.NotFound],
    408: Problem("request_timeout", 408, "The request took too long to arrive.", True),
    405: Problem("method_not_allowed", 405, "This method is not allowed here."),
    413: Problem("payload_too_large", 413, "The body is too large."),
    415: PROBLEMS[errors.UnsupportedMediaType],
    429: Problem("rate_limited", 429, "Too many requests; retry later.", True),
    500: Problem("internal_error", 500, "An unexpected error occurred.", True),
}

TOO_MANY_CONNECTIONS = Problem("too_many_connections", 429, "Too many connections from this address.", True)

BY_NAME = {kind.__name__: problem for kind, problem in PROBLEMS.items()}
BY_CODE = {problem.code: problem for problem in [*PROBLEMS.values(), *BY_STATUS.values(), TOO_MANY_CONNECTIONS]}
CODES = {"enum": sorted(BY_CODE)}
RETRYABLE = frozenset(name for name, problem in BY_NAME.items() if problem.retryable)


def of(error: BaseException) -> Problem:
    """Return the problem of an error; any unforeseen one is `internal_error`."""
    if isinstance(error, errors.TurnFailed):
        return named(error.name)
    for kind in type(error).__mro__:
        if kind in PROBLEMS:
            return PROBLEMS[kind]
    return BY_STATUS[500]


def named(name: str) -> Problem:
    """Return the problem of an error's class by the name that a turn keeps."""
    return BY_NAME.get(name, BY_STATUS[500])


def of_turn_error(name: str | None) -> Problem:
    """Return the problem of a turn without a whole answer by its `error`; None: it was interrupted."""
    return named(name or errors.LeaseLost.__name__)


class TurnErrorSchema(Schema):
    """Why a turn failed."""

    code = fields.String(required=True, metadata=CODES)
    title = fields.String(required=True)
    retryable = fields.Boolean(required=True)


class ProblemSchema(Schema):
    """A problem document (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "A stable word to switch on.", **CODES})
    request_id = fields.String(required=True)
    retryable = fields.Boolean(required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "For bad input: messages by field."},
    )
