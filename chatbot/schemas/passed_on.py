"""Parameters and members of messages on `/v1` that are passed to the model's server as they are.

What is not among them is refused by name, and each has its kind: servers have parameters of which one caller's value
holds up all others, reads from their network or spends the operator's money.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from marshmallow import ValidationError, fields

MAX_TOOLS = 128
MAX_NAME_LENGTH = 200  # characters
MAX_MEMBERS = 1_000
MAX_ALTERNATIVES = 20
EMPTY: tuple[Any, ...] = (None, "", [], {})
# Values that say what happens anyway.
DEFAULTS: dict[str, Any] = {
    "function_call": "none",
    "logprobs": False,
    "modalities": ["text"],
    "response_format": {"type": "text"},
    "service_tier": "auto",
    "top_logprobs": 0,
}
OF_TOOLS = ("tool_choice", "parallel_tool_calls")  # mean nothing without tools
OF_SAMPLING = (
    *("logit_bias", "top_k", "random_seed", "min_p", "top_a", "typical_p"),
    *("repetition_penalty", "repeat_penalty", "length_penalty"),
)
TEMPLATE_OPTIONS = {"enable_thinking", "thinking", "thinking_budget", "reasoning_effort", "preserve_thinking"}
# Members of an answer that clients keep or add and send back with it; models do not read them.
UNREAD = {"annotations", "parsed", "reasoning", "reasoning_content", "reasoning_details"} | {
    "provider_specific_fields",  # this and the next are of litellm
    "thinking_blocks",
}
IMAGE_SCHEMES = ("data:image/", "https://", "http://")


def is_flag(value: Any) -> bool:
    """Return whether a value is true or false."""
    return isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Return whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_name(value: Any) -> bool:
    """Return whether a value is a short text."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH


def is_scalar(value: Any) -> bool:
    """Return whether a value is a flag, a number or a short text."""
    return is_flag(value) or is_number(value) or is_name(value)


def is_options(value: Any) -> bool:
    """Return whether a value is an object of flags, numbers and short texts."""
    return isinstance(value, dict) and all(map(is_scalar, value.values()))


def is_function(value: Any) -> bool:
    """Return whether a value describes a function: with a name, and a schema of its parameters if it has any."""
    return isinstance(value, dict) and is_name(value.get("name")) and isinstance(value.get("parameters") or {}, dict)


def are_tools(value: Any) -> bool:
    """Return whether a value is a list of functions or of tools of other kinds."""
    return isinstance(value, list) and len(value) <= MAX_TOOLS and all(map(_is_tool, value))


def _is_tool(value: Any) -> bool:
    if not isinstance(value, dict) or not is_name(value.get("type")):
        return False
    return value["type"] != "function" or is_function(value.get("function"))


def are_calls(value: Any) -> bool:
    """Return whether a value is a list of calls of functions."""
    return isinstance(value, list) and len(value) <= MAX_TOOLS and all(map(_is_call, value))


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict) or not is_name(value.get("id")) or not is_name(value.get("type", "function")):
        return False
    function = value.get("function")
    return isinstance(function, dict) and is_name(function.get("name")) and isinstance(function.get("arguments"), str)


def without_parsed(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls without their place in a stream and their parsed arguments, which OpenAI's clients add."""
    return [
        {name: value for name, value in call.items() if name != "index"}
        | {"function": {name: value for name, value in call["function"].items() if name != "parsed_arguments"}}
        for call in calls
    ]


def is_format(value: Any) -> bool:
    """Return whether a value is the form of an answer: `json_object`, or a schema in `json_schema`."""
    if not isinstance(value, dict) or not is_name(value.get("type")):
        return False
    form = value.get("json_schema")
    if value["type"] != "json_schema":
        return form in EMPTY
    return isinstance(form, dict) and isinstance(form.get("schema"), dict)


def is_bias(value: Any) -> bool:
    """Return whether a value is an object of numbers by token."""
    return isinstance(value, dict) and len(value) <= MAX_MEMBERS and all(map(is_number, value.values()))


def is_writable(value: Any) -> bool:
    """Return whether a value can be written to a server as it is: an integer beyond 64 bits cannot."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def is_part(part: Any) -> bool:
    """Return whether a value is a part of a message: a text, a refusal or an image."""
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return isinstance(part.get(kind), str)
    image = part.get("image_url")
    return kind == "image_url" and isinstance(image, dict) and _is_image_address(image.get("url"))


def _is_image_address(url: Any) -> bool:
    """Return whether it is an image as data, or an address that is not in the server's own network by its looks."""
    if not isinstance(url, str) or not url.lower().startswith(IMAGE_SCHEMES):
        return False
    if url[:5].lower() == "data:":
        return True
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if "\\" in url or "@" in parts.netloc:  # readers differ in where such a host begins and ends
        return False
    domain = host.rstrip(".").rpartition(".")[2]
    return "." in host and domain.isalpha() and domain not in {"local", "internal", "localhost", "lan", "home"}


class PassedOn(fields.Field[Any]):
    """A value that is passed on where it is of its kind."""

    def __init__(self, is_valid: Callable[[Any], bool], **kwargs: Any) -> None:
        self._is_valid = is_valid
        super().__init__(allow_none=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value not in EMPTY and not (self._is_valid(value) and is_writable(value)):
            raise ValidationError("Not a valid value, or not offered.")
        return value


KINDS: dict[str, Callable[[Any], bool]] = {
    "tools": are_tools,
    "tool_choice": lambda value: is_name(value) or isinstance(value, dict),
    "response_format": is_format,
    "logit_bias": is_bias,
    "top_logprobs": lambda value: is_integer(value) and 0 <= value <= MAX_ALTERNATIVES,
    "chat_template_kwargs": lambda value: is_options(value) and value.keys() <= TEMPLATE_OPTIONS,
    "thinking": lambda value: is_flag(value) or is_options(value),
    "reasoning": is_options,
    "service_tier": lambda value: value in ("auto", "default", "flex"),
    # Accepted where they say what happens anyway.
    "modalities": lambda value: value == DEFAULTS["modalities"],
    "functions": lambda value: False,
    "function_call": lambda value: value == "none",
    **dict.fromkeys(("parallel_tool_calls", "logprobs", "enable_thinking", "safe_prompt"), is_flag),
    **dict.fromkeys(("top_k", "thinking_budget", "random_seed"), is_integer),
    **dict.fromkeys(("min_p", "top_a", "typical_p"), is_number),
    **dict.fromkeys(("repetition_penalty", "repeat_penalty", "length_penalty"), is_number),
    **dict.fromkeys(("reasoning_effort", "verbosity", "safety_identifier"), is_name),
}


def passed_on(body: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters to pass on as they are, without those that change nothing."""
    given = {name: body[name] for name in KINDS if body.get(name) not in EMPTY}
    found = {name: value for name, value in given.items() if name not in DEFAULTS or value != DEFAULTS[name]}
    if "tools" not in found:
        found = {name: value for name, value in found.items() if name not in OF_TOOLS}
    return found
