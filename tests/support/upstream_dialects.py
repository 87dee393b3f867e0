"""Good answers of the scripted upstream, in the dialects of real servers."""

import asyncio
import gzip
import json
from typing import Any

from tests.support.upstream_replies import Reply, good


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "model": "m", "choices": [{"delta": delta, "finish_reason": finish}]}


def stream(*chunks: dict[str, Any] | bytes, end: bytes = b"data: [DONE]\n\n") -> bytes:
    frames = [one if isinstance(one, bytes) else b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks]
    return b"".join(frames) + end


HELLO = chunk(content="Hello")
THERE = chunk("stop", content=" there")
WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}]}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Okay"}]}
PRETTY = b"".join(
    b"".join(b"data: " + line + b"\n" for line in json.dumps(one, indent=1).encode().split(b"\n")) + b"\n"
    for one in (HELLO, THERE)
)
HALVES = json.dumps(chunk(content="@")).encode()
BODIES = {
    "parts": stream(chunk(content=[THINKING]), chunk(content=[{"type": "text", "text": "Hello"}]), THERE),
    "empty_data": stream(b"data:\n\ndata: \n\n", HELLO, b"data: \n\n", THERE),
    "ping": stream(b'event: ping\ndata: {"type": "ping"}\n\n', HELLO, b"data: ping\n\n", THERE),
    "empty_object": stream(b"data: {}\n\n", HELLO, THERE),
    "no_choices": stream(b'data: {"id": "x", "prompt_filter_results": []}\n\n', HELLO, THERE),
    "byte_order_mark": b"\xef\xbb\xbf" + stream(HELLO, THERE),
    "carriage_returns": stream(HELLO, THERE).replace(b"\n", b"\r"),
    "many_lines": PRETTY + b"data: [DONE]\n\n",
    "whole": json.dumps(WHOLE).encode(),
    "whole_pretty": json.dumps(WHOLE, indent=2).encode(),
    "think": stream(
        chunk(content=" <th"), chunk(content="ink>Is <it>"), chunk(content=" so?</thi"), chunk(content="nk>\n\nHello"), THERE
    ),
    "refusal": stream(chunk(content=None, refusal="Hello"), chunk("stop", refusal=" there")),
    "halves": stream(
        HELLO, *(b"data: " + HALVES.replace(b"@", half) + b"\n\n" for half in (b"\\ud83d", b"\\ude00")), chunk("stop")
    ),
    "less_than": stream(chunk(content="<t"), chunk("stop")),
    "COMPLETE": stream(HELLO, chunk("COMPLETE", content=" there")),
    "SAFETY": stream(HELLO, chunk("SAFETY")),
    "model_length": stream(HELLO, chunk("model_length")),
    "reasoning_alone": stream(chunk(reasoning_content="hmm"), chunk("length")),
    "stop_at_once": stream(chunk("stop")),
}  # fmt: skip
ANSWERS = dict.fromkeys(BODIES, ("Hello there", "stop")) | {
    "halves": ("Hello\U0001f600", "stop"),
    "less_than": ("<t", "stop"),
    "SAFETY": ("Hello", "content_filter"),
    "model_length": ("Hello", "length"),
    "reasoning_alone": ("", "length"),
    "stop_at_once": ("", "stop"),
}


async def dialect(reply: Reply, name: str) -> None:
    await reply.open()
    await reply.raw(BODIES[name])
    await reply.end()


async def packed(reply: Reply, _: str) -> None:
    """Send an answer with gzip, unasked."""
    data = gzip.compress(stream(HELLO, THERE))
    await reply.head(extra=f"Content-Encoding: gzip\r\nContent-Length: {len(data)}\r\n")
    await reply.write(data)


async def reasons(reply: Reply, pieces: str) -> None:
    """Send so many pieces of reasoning, one each tenth of a second, and then the answer."""
    await reply.open()
    for _ in range(int(pieces)):
        await reply.raw(stream(chunk(content=None, reasoning_content="hmm "), end=b""))
        await asyncio.sleep(0.1)
    await reply.raw(stream(HELLO, THERE))
    await reply.end()


NO_SYSTEM = {
    "gemma": "System role not supported",
    "openai": "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "other": "Developer and system messages are not allowed: role 'system'",
}


async def no_system(reply: Reply, name: str) -> None:
    """Take no message of the role `system`, as templates without one."""
    if reply.request["messages"][0]["role"] == "system":
        await reply.head(400, "application/json")
        await reply.write(json.dumps({"object": "error", "message": NO_SYSTEM[name], "code": 400}).encode())
        reply.writer.close()
    else:
        await good(reply)


async def no_role(reply: Reply, _: str) -> None:
    await no_system(reply, "gemma")


WORDINGS: dict[str, tuple[int, Any]] = {
    "pydantic": (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "@"], "msg": "Extra inputs"}]}),
    "pydantic_1": (422, {"detail": [{"type": "value_error.extra", "loc": ["body", "@"], "msg": "extra fields"}]}),
    "python": (400, {"message": "[{'type': 'extra_forbidden', 'loc': ('body', '@')}]", "code": 400}),
    "azure": (400, {"error": {"message": "Unrecognized request argument supplied: @", "param": None}}),
    "groq": (400, {"error": {"message": "property '@' is unsupported"}}),
    "google": (400, [{"error": {"message": 'Invalid JSON payload received. Unknown name "@": Cannot find field.'}}]),
    "cohere": (422, {"message": "unknown field: parameter '@' is not a valid field"}),
    "schema": (400, {"error": "Additional properties are not allowed ('@' was unexpected)"}),
    "reasoning": (400, {"error": {"message": "This model doesn't support the parameter @."}}),
}


async def refuses_as(reply: Reply, name: str) -> None:
    """Refuse `stream_options` in a server's own words."""
    if "stream_options" in reply.request:
        status, body = WORDINGS[name]
        await reply.head(status, "application/json")
        await reply.write(json.dumps(body).replace("@", "stream_options").encode())
        reply.writer.close()
    else:
        await good(reply)


DIALECTS = (dialect, packed, reasons, refuses_as, no_system, no_role)
