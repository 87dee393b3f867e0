"""Routes for reports of usage: of the caller's own, and of all users for administrators."""

import csv
import io
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from flask import Flask, Response, g, request

from chatbot.errors import ChatbotError, Unauthenticated
from chatbot.schemas import analytics as schemas
from chatbot.schemas import events, problem
from chatbot.schemas.fields import to_dict
from chatbot.services.accounts.authentication import find_expiry
from chatbot.services.accounts.callers import Caller
from chatbot.services.analytics import overview, turn_list, usage_report
from chatbot.services.analytics.periods import build_period
from chatbot.services.analytics.usage_report import Bucket, Report, ReportQuery
from chatbot.services.chat import execution
from chatbot.services.chat.state import get_chat_state
from chatbot.services.operations.load import read_load
from chatbot.web import admission, authentication, pagination, problems, rate_limits, sse
from chatbot.web.blueprint import Blueprint
from chatbot.web.rate_limits import by_user

blueprint = Blueprint("analytics", __name__, url_prefix="/api/analytics", description="Usage and what it costs")

SCOPE = "analytics"
LOAD_INTERVAL_SECONDS = 1.0  # between two events of a stream
CSV = "text/csv"
SUM_FIELDS = ("turns", "failed", "cancelled", "prompt_tokens", "completion_tokens", "micro_usd")
CSV_HEADER = ("start", "group", *SUM_FIELDS, "first_text_ms_p50", "first_text_ms_p95")
CSV_RESPONSES = {
    "200": {
        "description": "OK",
        "content": {"application/json": {"schema": schemas.UsageReportSchema}, CSV: {"schema": {"type": "string"}}},
    }
}

_loads = schemas.LoadEventSchema()


@blueprint.route("/usage/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503, responses=CSV_RESPONSES)
@blueprint.arguments(schemas.UsageQuerySchema, location="query")
@blueprint.response(200, schemas.UsageReportSchema)
def get_usage(query: dict[str, Any]) -> Report | Response:
    """Report the caller's own usage by time; as CSV where `Accept` asks for `text/csv`.

    Without `from` and `to` it is that of the last 30 days. All turns count, deleted ones too.
    """
    report_query = usage_report.build_caller_query(authentication.current(), _read_period(query), **query)
    if _wants_csv():
        return _to_csv(report_query)
    _enter()
    return usage_report.build(report_query)


@blueprint.route("/overview/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.UsageQuerySchema, location="query")
@blueprint.response(200, schemas.OverviewSchema)
def get_overview(query: dict[str, Any]) -> dict[str, Any]:
    """Report the usage of all users by time; for administrators."""
    found = overview.get_overview(_enter(), _read_period(query), **query)
    return {"buckets": found.report.buckets, "total": found.report.total, "users": found.users}


@blueprint.route("/users/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.UserUsageQuerySchema, location="query")
@blueprint.response(200, schemas.UserUsageListSchema)
def list_user_usage(query: dict[str, Any]) -> dict[str, Any]:
    """List users by their cost; for administrators."""
    offset = pagination.decode_position(query.pop("cursor", None)) + 1
    page = overview.list_users(_enter(), _read_period(query), **query, offset=offset)
    next_offset = page.next_offset
    return {
        "items": page.items,
        "next_cursor": None if next_offset is None else pagination.encode_position(next_offset - 1),
    }


@blueprint.route("/models/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.PeriodQuerySchema, location="query")
@blueprint.response(200, schemas.ModelUsageListSchema)
def list_model_usage(query: dict[str, Any]) -> dict[str, Any]:
    """List the usage of each model; for administrators."""
    return {"items": overview.list_models(_enter(), _read_period(query))}


@blueprint.route("/errors/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.PeriodQuerySchema, location="query")
@blueprint.response(200, schemas.ErrorCountListSchema)
def list_errors(query: dict[str, Any]) -> dict[str, Any]:
    """List the errors of turns by their number; for administrators."""
    return {"items": _merge_codes(overview.list_errors(_enter(), _read_period(query)))}


@blueprint.route("/knowledge/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.PeriodQuerySchema, location="query")
@blueprint.response(200, schemas.KnowledgeUsageSchema)
def get_knowledge_usage(query: dict[str, Any]) -> overview.KnowledgeUsage:
    """Report how well answers are grounded, and the questions without passages; for administrators."""
    return overview.get_knowledge(_enter(), _read_period(query))


@blueprint.route("/feedback/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.PeriodQuerySchema, location="query")
@blueprint.response(200, schemas.FeedbackUsageSchema)
def get_feedback_usage(query: dict[str, Any]) -> overview.FeedbackUsage:
    """Report the ratings of answers; for administrators."""
    return overview.get_feedback(_enter(), _read_period(query))


@blueprint.route("/turns/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(400, 503)
@blueprint.arguments(schemas.TurnUsageQuerySchema, location="query")
@blueprint.response(200, schemas.TurnUsageListSchema)
def list_turn_usage(query: dict[str, Any]) -> dict[str, Any]:
    """List the usage of each turn, the newest first; for administrators."""
    read = partial(turn_list.list_turns, period=_read_period(query))
    return pagination.page(read, query, authentication.current())


@blueprint.route("/live/", methods=["GET"])
@authentication.required(SCOPE)
@rate_limits.limit(RATE_READ_USER=by_user)
@problems.document(503)
@blueprint.response(200, events.LOAD_EVENTS, content_type=sse.MEDIA_TYPE)
def follow_load() -> Response:
    """Follow the load of this server, once a second; for administrators.

    It has running turns, the queue of documents, breakers and sockets, as `/metrics` has them. The stream ends with the
    access token.
    """
    caller = authentication.current()
    expires_at = find_expiry(authentication.credential())
    admission.enter_stream(caller.user_id)
    read_load(caller)  # a refusal is a status before the stream begins
    return sse.response(_follow_load(get_chat_state().app, caller, expires_at, g.get("request_id", "")))


def _follow_load(app: Flask, caller: Caller, expires_at: float | None, request_id: str) -> Iterator[bytes]:
    checked = time.monotonic()
    is_ending = False  # the process: it would wait for a stream without an end of its own, whose client comes back
    while not is_ending:
        try:
            with app.app_context():
                is_ending = execution.is_draining()
                if time.monotonic() - checked > sse.CHECK_INTERVAL_SECONDS:
                    caller = sse.require_open(caller)
                    checked = time.monotonic()
                if expires_at is not None and expires_at <= time.time():
                    raise Unauthenticated("The access token has expired.")
                load = read_load(caller)
        except ChatbotError as error:
            body = problems.body(problem.of(error), error.detail, f"{blueprint.url_prefix}/live/", request_id)
            yield sse.format_problem(body, 0)
            return
        yield b"event: load\ndata: %s\n\n" % sse.to_line(_loads.dump(load))
        if not is_ending:
            time.sleep(LOAD_INTERVAL_SECONDS)


def _enter() -> Caller:
    """Return the caller once they may read: few reports are made for a user at a time, further ones wait."""
    caller = authentication.current()
    admission.enter_page(caller.user_id)
    return caller


def _merge_codes(counts: Sequence[overview.ErrorCount]) -> list[dict[str, Any]]:
    """Return the errors by their codes, of which several classes may have the same, the most frequent first."""
    merged: dict[str, dict[str, Any]] = {}
    for count in sorted(counts, key=lambda one: one.last_at, reverse=True):
        code = problem.of_turn_error(count.error).code
        known = merged.setdefault(code, {**to_dict(count), "code": code, "turns": 0})
        known["turns"] += count.turns
    return sorted(merged.values(), key=lambda one: -int(one["turns"]))


def _read_period(query: dict[str, Any]) -> Any:
    """Return the period of a query, and remove its values there."""
    return build_period(query.pop("start", None), query.pop("end", None), query.pop("tz"))


def _wants_csv() -> bool:
    return request.accept_mimetypes.best_match(["application/json", CSV]) == CSV


def _to_csv(query: ReportQuery) -> Response:
    """Return a report as CSV, of which some buckets are in memory at a time."""
    admission.enter_stream(authentication.current().user_id)
    pages = usage_report.iterate_buckets(get_chat_state().app, query)
    response = Response(_write_lines(pages), mimetype=CSV)
    response.headers.set("Content-Disposition", "attachment", filename="usage.csv")
    return response


def _write_lines(pages: Iterator[list[Bucket]]) -> Iterator[str]:
    yield _write([CSV_HEADER])
    for page in pages:
        yield _write([_to_row(bucket) for bucket in page])


def _to_row(bucket: Bucket) -> Sequence[Any]:
    usage = bucket.usage
    sums = [getattr(usage, name) for name in SUM_FIELDS]
    return [bucket.start.isoformat(), _guard(bucket.group), *sums, usage.first_text_ms.p50, usage.first_text_ms.p95]


def _guard(group: Any) -> Any:
    """Return a group that no spreadsheet takes for a formula: servers name models."""
    return f"'{group}" if isinstance(group, str) and group.startswith(("=", "+", "-", "@")) else group


def _write(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
