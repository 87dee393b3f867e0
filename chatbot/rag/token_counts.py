"""How many tokens a text takes: as OpenAI's tokenizer counts for its models, a safe estimate for all others.

And the text of tokens, which some clients send to be embedded.
"""

import functools
import math
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetools import cached

from chatbot.concurrency.threads import create_executor

if TYPE_CHECKING:
    from tiktoken import Encoding

Counter = Callable[[str], int]
EMBEDDING_MODEL = "text-embedding-3-small"  # clients take the encoding of OpenAI's embedders where they know no other
LOADING_SECONDS = 10.0  # for tables that must be fetched
RETRY_SECONDS = 300.0  # from one failed load of an encoding to the next

LETTERS_PER_TOKEN = 3  # of plain Latin text; tokenizers reach 4 and more
PLAIN = re.compile(r"[A-Za-z ]+")


def estimate(text: str) -> int:
    """Return a number of tokens that is rarely too small.

    Byte-level tokenizers never need more than one token a byte: digits, signs and other alphabets count as that.
    """
    plain = sum(map(len, PLAIN.findall(text)))
    return math.ceil(plain / LETTERS_PER_TOKEN) + len(text.encode()) - plain


def counter(model: str) -> Counter:
    """Return the function that counts the tokens of a text for a model of OpenAI.

    Its tokenizer is read, or fetched from OpenAI, in a real thread of its own: that takes half a second of
    processor. Until it is there, and where it cannot be had, the estimate counts.
    """
    loading = load_encoding(model)
    encoding = loading.result() if loading.done() else None
    return functools.partial(_count, encoding) if encoding else estimate


def decode(tokens: Sequence[int]) -> str | None:
    """Return the text of tokens of OpenAI's embedders; None where their tables are not to be had in LOADING_SECONDS.

    Raises ValueError for a number that is no token.
    """
    try:
        encoding = load_encoding(EMBEDDING_MODEL).result(LOADING_SECONDS)
        return encoding.decode(list(tokens)) if encoding else None
    except (KeyError, OverflowError) as error:
        raise ValueError("Not a token.") from error
    except TimeoutError:
        return None


def _count(encoding: "Encoding", text: str) -> int:
    return len(encoding.encode(text, disallowed_special=()))


@dataclass(frozen=True, slots=True)
class Loading:
    """The load of an encoding in a thread."""

    encoding: "Future[Encoding | None]"
    began_at: float = field(default_factory=time.monotonic)

    def is_to_be_retried(self) -> bool:
        """Return whether it failed RETRY_SECONDS ago: a network may be back since."""
        is_old = time.monotonic() >= self.began_at + RETRY_SECONDS
        return is_old and self.encoding.done() and self.encoding.result() is None


def load_encoding(model: str) -> "Future[Encoding | None]":
    """Return the encoding of one of OpenAI's models, as it is loaded in a thread; None where it cannot be."""
    loading = start_loading(model)
    if loading.is_to_be_retried():
        start_loading.cache_clear()
        loading = start_loading(model)
    return loading.encoding


@cached({})
def start_loading(model: str) -> Loading:
    """Start to load the encoding of one of OpenAI's models, once."""
    return Loading(create_executor().submit(_load, model))


def _load(model: str) -> "Encoding | None":
    import tiktoken

    try:
        return tiktoken.encoding_for_model(model)
    except Exception:  # noqa: BLE001 - no such model, no network, no disk: the estimate is there for all of them
        return None
