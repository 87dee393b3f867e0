"""The event stream of a chat-completions server, read straight from its bytes.

The openai package's response models cost twice the processor time of a whole paced stream; no object is
built per token here. Format: WHATWG HTML, "Server-sent events"; payloads: OpenAI chat completion chunks.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from chatbot.rag.errors import AdapterError, UpstreamFailed, UpstreamGarbled

MAX_LINE = 1 << 20  # bytes; an honest chunk has a few hundred


def lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Split bytes that arrive in any pieces into lines, without their ends; yields those that came at a time.

    Raises UpstreamGarbled for a line over MAX_LINE bytes.
    """
    waiting: list[bytes] = []  # a line's beginning, joined once
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        waiting.append(first)
        size += len(first)
        if size > MAX_LINE:
            raise UpstreamGarbled("A line of the model's answer has no end.")
        if others:
            whole = b"".join(waiting)
            waiting = [others[-1]]
            size = len(others[-1])
            yield [line.removesuffix(b"\r") for line in (whole, *others[:-1])]
    if size:
        yield [b"".join(waiting)]


def payloads(chunks: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Yield the JSON objects of the events that came at a time, until `[DONE]` or the end.

    Comments and other fields are passed over. Raises UpstreamGarbled for bytes that are no event stream, no JSON or
    no UTF-8, UpstreamFailed for an error frame; what came before it is yielded first.
    """
    arriving = lines(chunks)
    for batch in arriving:
        found: list[dict[str, Any]] = []
        failure: AdapterError | None = None
        done = False
        try:
            done = _collect(batch, found)
        except AdapterError as error:
            failure = error
        if found:
            yield found
        if failure is not None:
            raise failure
        if done:
            deque(arriving, maxlen=0)  # a response that is read to its end leaves its connection to the next
            return


def _collect(batch: list[bytes], found: list[dict[str, Any]]) -> bool:
    """Append the objects of some lines; returns whether `[DONE]` was among them."""
    for line in batch:
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if data == b"[DONE]":
                return True
            found.append(parse(data))
        elif line and not line.startswith((b":", b"event", b"id", b"retry")):
            raise UpstreamGarbled("The model's server did not answer with an event stream.")
    return False


def parse(data: bytes) -> dict[str, Any]:
    """Parse one payload; raises UpstreamGarbled and UpstreamFailed as `payloads` does."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpstreamGarbled("The model's server sent something that is not JSON.") from error
    if not isinstance(chunk, dict):
        raise UpstreamGarbled("The model's server sent something that is not an object.")
    if chunk.get("error"):
        raise UpstreamFailed("The model's server reported an error in the middle of its answer.")
    return chunk
