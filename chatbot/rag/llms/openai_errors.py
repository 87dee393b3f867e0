"""The `openai` package's errors as ours."""

import contextlib
import itertools
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
import orjson

from chatbot.rag import errors

BY_STATUS: dict[int, type[errors.AdapterError]] = {
    401: errors.UpstreamDenied,
    403: errors.UpstreamDenied,
    404: errors.ModelUnavailable,
    408: errors.UpstreamTimeout,
    429: errors.UpstreamBusy,
    503: errors.UpstreamBusy,
    504: errors.UpstreamTimeout,
    529: errors.UpstreamBusy,
}
MAX_RETRY_AFTER = 3600.0
UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
_UNSUPPORTED_TEXT = re.compile(
    r"(un|not |n't )support|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|not (permitted|allowed|accepted|valid)"
    r"|does not accept|deprecated|invalid (argument|parameter|field|value)",
    re.IGNORECASE,
)
_TOO_LONG_CODES = {"context_length_exceeded", "string_above_max_length", "exceed_context_size_error"}
_TOO_LONG_TEXT = re.compile(
    r"context.{0,9}(length|window|size|limit)|(prompt|input|messages?).{0,30}too (long|large)|too many tokens",
    re.IGNORECASE,
)
_NO_SYSTEM_ROLE = re.compile(r"system['\"]?.{0,9}(role|message)|role.{0,40}system", re.IGNORECASE)
_KINDS: dict[int, type[openai.APIStatusError]] = {400: openai.BadRequestError, 422: openai.UnprocessableEntityError}
EXTRA = {"extra_forbidden", "value_error.extra"}  # of pydantic 2 and 1
NO_COMPLETIONS = "The server has no chat completions there: OPENAI_BASE_URL mostly ends in /v1."
MAX_ERROR_LENGTH = 65_536  # bytes of an error's body that are looked at


def status_error(response: httpx2.Response) -> openai.APIStatusError:
    """Return the package's error for an answer that is not a success, with the body's `error` where there is one."""
    body: Any = None
    with contextlib.suppress(httpx2.HTTPError, ValueError):
        body = orjson.loads(b"".join(itertools.islice(response.iter_bytes(4096), MAX_ERROR_LENGTH // 4096)))
    if isinstance(body, list):  # Google's
        body = next(iter(body), None)
    error = body.get("error", body) if isinstance(body, dict) else None
    error = {"message": error} if isinstance(error, str) else error
    kind = _KINDS.get(response.status_code, openai.APIStatusError)
    return kind(f"status {response.status_code}", response=response, body=error)


def translate(error: openai.OpenAIError, model: str) -> errors.AdapterError:
    """Return our error for one of the package's; a server's text is never repeated."""
    if isinstance(error, openai.APITimeoutError):
        return errors.UpstreamTimeout("The model's server did not begin to answer in time.")
    if isinstance(error, openai.APIConnectionError):
        return errors.UpstreamUnreachable("The model's server cannot be reached.")
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, model)
    return errors.UpstreamFailed(f"The request to the model failed ({type(error).__name__}).")


def _from_status(error: openai.APIStatusError, model: str) -> errors.AdapterError:
    code = _code(error)
    if _is_too_long(error):
        return errors.PromptTooLong("The prompt is too long for the model.")
    if error.status_code in {404, 405} and not (code.startswith("model") or model in _text(error)):
        return errors.ModelUnavailable(NO_COMPLETIONS)
    if code in {"model_not_found", "model_decommissioned"} or error.status_code == 404:
        return errors.ModelUnavailable(f"The model {model!r} does not exist at its server: set OPENAI_MODEL.")
    if code == "insufficient_quota":
        return errors.UpstreamQuotaExhausted("The account at the model's server has no credit left.")
    kind = BY_STATUS.get(error.status_code)
    if kind is None:
        kind = errors.UpstreamFailed if error.status_code >= 500 else errors.UpstreamRefused
    detail = f"The model's server answered with status {error.status_code}."
    return kind(detail, retry_after=retry_after(error.response.headers))


def _is_too_long(error: openai.APIStatusError) -> bool:
    if error.status_code not in {400, 413, 422}:
        return False
    return _code(error) in _TOO_LONG_CODES or bool(_TOO_LONG_TEXT.search(_text(error)))


def refuses_system_role(error: openai.APIStatusError) -> bool:
    """Return whether a server refuses messages of the role `system`."""
    text = _text(error)
    return bool(_NO_SYSTEM_ROLE.search(text) and _UNSUPPORTED_TEXT.search(text))


def _text(error: openai.APIStatusError) -> str:
    """Return the words of an error, wherever its body has them."""
    body = _body(error)
    words = body.get("message") or body.get("detail") or body.get("msg") or ""
    return words if isinstance(words, str) else ""


def _body(error: openai.APIStatusError) -> Mapping[str, Any]:
    return error.body if isinstance(error.body, Mapping) else {}


def _code(error: openai.APIStatusError) -> str:
    return str(_body(error).get("code") or _body(error).get("type") or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, given as seconds or as a date (RFC 9110, 10.2.3), at most an hour."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        plain = re.fullmatch(r"\d+(\.\d+)?", value)
        seconds = float(value) if plain else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A parameter that a server refused; `is_certain` unless its name was only found in the error's text."""

    parameter: str
    is_certain: bool


def find_refusal(error: openai.APIStatusError, sent: Mapping[str, Any]) -> Refusal | None:
    """Return which of the parameters sent an error refuses, or None."""
    named = _body(error).get("param")
    text = _text(error)
    for certain in _forbidden_fields(error):
        if certain in sent:
            return Refusal(certain, is_certain=True)
    if _code(error) not in UNSUPPORTED and not _UNSUPPORTED_TEXT.search(text):
        return None  # such as a prompt that is too long: the next one is not
    if isinstance(named, str) and named in sent:
        return Refusal(named, is_certain=True)
    name = next((name for name in sent if re.search(rf"\b{name}\b", text)), None)
    return None if name is None else Refusal(name, is_certain=False)


def _forbidden_fields(error: openai.APIStatusError) -> list[str]:
    """Return the fields that a server on pydantic did not expect: the last part of each `loc`, beside an echo."""
    message = _body(error).get("message")
    details = message.get("detail") if isinstance(message, Mapping) else _body(error).get("detail")
    if not isinstance(details, list):
        return []
    places = [one.get("loc") for one in details if isinstance(one, Mapping) and one.get("type") in EXTRA]
    return [place[-1] for place in places if isinstance(place, list) and place and isinstance(place[-1], str)]
