"""Special tokens of chat templates in text from outside: broken, so that a server reads them as text.

llama.cpp and others tokenise a whole prompt, template and contents alike, with special tokens parsed: `<|im_end|>` in a
document would end its message. A space behind the first character leaves no token of that name, and a reader sees no
other meaning. Zero-width characters would do as well, but some servers strip them.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from .types import Message

_LESS = "[<\uff1c\ufe64]"
_BAR = "[|\uff5c]"
_GREATER = "[>\uff1e\ufe65]"
_NAMES = (
    "s|unk|UNK|pad|PAD|bos|eos|eod|EOD|EOT|cls|CLS|sep|SEP|mask|MASK|PRE|SUF|MID|think|image|video|audio|img|box|ref|quad"
    r"|fim-\w{1,20}|unused\d{1,9}|seed:\w{1,40}|filename|reponame"
)
_UPPER_NAMES = "INST|IMG|THINK|ARGS|AUDIO|PREFIX|SUFFIX|MIDDLE|CLS|SEP|MASK|PAD|UNK|BOS|EOS|[gs]MASK|[se]op"
# Each may begin a token; what is looked at behind it is bounded, so that the whole is linear.
_TOKEN_START = re.compile(
    rf"{_LESS}(?={_BAR}\S)"  # ChatML, Llama 3, Phi, Command R, harmony: <|name|>; DeepSeek: wide bars; Gemma 4: <|turn>
    rf"|{_LESS}(?=/?\w{{1,60}}{_BAR}{_GREATER})"  # Gemma 4: <turn|>
    rf"|{_LESS}(?=/?(?:{_NAMES}){_GREATER})"  # Llama 2, T5, Qwen, Code Llama
    rf"|{_LESS}(?=/?[A-Za-z0-9]{{0,40}}_\w{{0,60}}{_GREATER})"  # Gemma: <start_of_turn>; SmolLM, StarCoder: <file_sep>
    r"|<(?=</?SYS>>)"  # Llama 2
    rf"|\[(?=/?(?:{_UPPER_NAMES}|[A-Z]{{1,40}}_[A-Z_]{{1,60}})\])"  # Mistral, BERT, GLM
    r"|\](?=~)|\[(?=e~\[)"  # MiniMax
)


def defuse(text: str) -> str:
    """Return text without any special token of a known chat template."""
    return _TOKEN_START.sub(r"\g<0> ", text)


def defuse_all(value: Any) -> Any:
    """Return a JSON value with the special tokens in all of its texts broken."""
    if isinstance(value, str):
        return defuse(value)
    if isinstance(value, Mapping):
        return {defuse(name): _defuse_member(name, one) for name, one in value.items()}
    return [defuse_all(one) for one in value] if isinstance(value, list) else value


def _defuse_member(name: str, value: Any) -> Any:
    """Return a member's value defused; a call's arguments are JSON in a text, where escapes hide tokens."""
    if name != "arguments" or not isinstance(value, str):
        return defuse_all(value)
    try:
        return orjson.dumps(defuse_all(orjson.loads(value))).decode()
    except orjson.JSONDecodeError:
        return defuse(value)


def defuse_messages(messages: Sequence[Message]) -> list[Message]:
    """Return messages with the special tokens in their contents broken."""
    defused = []
    for message in messages:
        defused.append(replace(message, content=defuse(message.content), fields=defuse_all(message.fields)))
        time.sleep(0)  # others run in between
    return defused
