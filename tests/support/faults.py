"""Each fault of a model's server, and the expected answer: the matrix that several suites read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """Status and code at the door, and the turn's terminal state."""

    status: int
    code: str | None
    state: str
    text: str = ""


HALF = "Half an answer"
GOOD = "You said: [[{}]] hello"


def failed(status: int, code: str, text: str = "") -> Expected:
    return Expected(status, code, "failed", text)


FAULTS: dict[str, Expected] = {
    "no_first_byte": failed(504, "upstream_timeout"),
    "silent_headers": failed(504, "upstream_timeout"),
    "stall": failed(504, "upstream_timeout", HALF),
    "stall_pings": failed(504, "upstream_timeout", HALF),
    "empty_deltas": failed(504, "upstream_timeout", HALF),
    "cut": failed(502, "upstream_incomplete", HALF),
    "clean_end": failed(502, "upstream_incomplete", HALF),
    "cut_after_finish": Expected(200, None, "completed", HALF),
    "stall_after_finish": Expected(200, None, "completed", HALF),
    "bad_json": failed(502, "upstream_garbled", HALF),
    "bad_utf8": failed(502, "upstream_garbled", HALF),
    "split_utf8": Expected(200, None, "completed", "Grüße \N{GRINNING FACE}"),
    "error_frame": failed(502, "upstream_failed", HALF),
    "status 400": failed(502, "upstream_refused"),
    "status 401": failed(502, "upstream_denied"),
    "status 403": failed(502, "upstream_denied"),
    "status 404": failed(503, "model_unavailable"),
    "status 408": failed(504, "upstream_timeout"),
    "status 409": failed(502, "upstream_refused"),
    "status 413": failed(502, "upstream_refused"),
    "status 429": failed(503, "upstream_busy"),
    "status 500": failed(502, "upstream_failed"),
    "status 502": failed(502, "upstream_failed"),
    "status 503": failed(503, "upstream_busy"),
    "status 504": failed(504, "upstream_timeout"),
    "status 529": failed(503, "upstream_busy"),
    "retry_after 1": failed(503, "upstream_busy"),
    "retry_after 30": failed(503, "upstream_busy"),
    "retry_after date": failed(503, "upstream_busy"),
    "retry_after soon": failed(503, "upstream_busy"),
    "quota": failed(502, "upstream_quota_exhausted"),
    "no_model": failed(503, "model_unavailable"),
    "html": failed(502, "upstream_garbled"),
    "no_choices": failed(502, "upstream_incomplete"),
    "odd_choices": failed(502, "upstream_garbled"),
    "no_text": failed(502, "upstream_incomplete"),
    "finish stop": Expected(200, None, "completed", GOOD.format("finish stop")),
    "finish length": Expected(200, None, "truncated", GOOD.format("finish length")),
    "finish content_filter": Expected(200, None, "filtered", GOOD.format("finish content_filter")),
    "finish abort": failed(502, "upstream_incomplete", GOOD.format("finish abort")),
    "finish tool_calls": Expected(200, None, "completed", GOOD.format("finish tool_calls")),
    "long_line": failed(502, "upstream_garbled"),
    "endless": Expected(200, None, "truncated"),
    "slow 0.3": Expected(200, None, "completed", HALF + " at last"),
    "slow 10": failed(504, "upstream_timeout", HALF),
    "chunk list_text": Expected(200, None, "completed", "x"),
    "chunk number_text": failed(502, "upstream_garbled"),
    "chunk nul_text": Expected(200, None, "completed", "ab"),
    "chunk object_model": Expected(200, None, "completed", "fine"),
    "chunk long_model": Expected(200, None, "completed", "fine"),
    "chunk list_usage": Expected(200, None, "completed", "fine"),
    "chunk huge_usage": Expected(200, None, "completed", "fine"),
    "flood": failed(504, "upstream_timeout", HALF),
    "slow_headers": failed(504, "upstream_timeout"),
    "slow_error": failed(504, "upstream_timeout"),
    "too_long": failed(400, "context_length_exceeded"),
    "odd_param": failed(502, "upstream_refused"),
    "refuses max_tokens": Expected(200, None, "completed", GOOD.format("refuses max_tokens")),
    "refuses temperature": Expected(200, None, "completed", GOOD.format("refuses temperature")),
    "refuses stream_options": Expected(200, None, "completed", GOOD.format("refuses stream_options")),
    "refuses_value temperature=0.7": Expected(200, None, "completed", GOOD.format("refuses_value temperature=0.7")),
    "forbids cache_salt": Expected(200, None, "completed", GOOD.format("forbids cache_salt")),
    "forbids_echoing cache_salt": Expected(200, None, "completed", GOOD.format("forbids_echoing cache_salt")),
    "quotes_unsupported temperature": Expected(200, None, "completed", GOOD.format("quotes_unsupported temperature")),
    "refuses_beside temperature+max_tokens": Expected(
        200, None, "completed", GOOD.format("refuses_beside temperature+max_tokens")
    ),
    "refuses model": failed(502, "upstream_refused"),
}
