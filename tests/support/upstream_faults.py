"""The faults that the scripted upstream plays, by name."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from tests.support import upstream_dialects
from tests.support.upstream_replies import Reply, good

EVER = 3600.0  # seconds


async def begun(reply: Reply) -> None:
    await reply.open()
    await reply.token("Half an")
    await reply.token(" answer")


async def no_first_byte(reply: Reply, _: str) -> None:
    await asyncio.sleep(EVER)


async def silent_headers(reply: Reply, _: str) -> None:
    await reply.open()
    await asyncio.sleep(EVER)


async def stall(reply: Reply, _: str) -> None:
    await begun(reply)
    await asyncio.sleep(EVER)


async def stall_pings(reply: Reply, _: str) -> None:
    await begun(reply)
    while True:
        await reply.raw(b": ping\n\n")
        await asyncio.sleep(0.05)


async def empty_deltas(reply: Reply, _: str) -> None:
    await begun(reply)
    while True:
        await reply.token("")
        await asyncio.sleep(0.05)


async def cut(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.write(b"40\r\ndata: {")
    reply.writer.transport.abort()


async def clean_end(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.raw(b"data: [DONE]\n\n")
    await reply.end()


async def cut_after_finish(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.token("", "stop")
    reply.writer.transport.abort()


async def stall_after_finish(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.token("", "stop")
    await asyncio.sleep(EVER)


async def bad_json(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.raw(b'data: {"choices": [\n\n')
    await reply.end()


async def bad_utf8(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.raw(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n')
    await reply.end()


async def split_utf8(reply: Reply, _: str) -> None:
    await reply.open()
    body = {"choices": [{"index": 0, "delta": {"content": "Grüße \N{GRINNING FACE}"}, "finish_reason": "stop"}]}
    for byte in b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\r\n\r\ndata: [DONE]\r\n\r\n":
        await reply.raw(bytes([byte]))
    await reply.end()


async def error_frame(reply: Reply, _: str) -> None:
    await begun(reply)
    await reply.raw(b'data: {"error": {"message": "nobody may repeat this", "code": 500}}\n\n')
    await reply.end()


async def status(reply: Reply, code: str) -> None:
    await reply.error(int(code))


async def retry_after(reply: Reply, value: str) -> None:
    value = formatdate(time.time() + 30, usegmt=True) if value == "date" else value
    await reply.error(429, extra=f"Retry-After: {value}\r\n")


async def quota(reply: Reply, _: str) -> None:
    await reply.error(429, "insufficient_quota")


async def no_model(reply: Reply, _: str) -> None:
    await reply.error(404, "model_not_found")


async def html(reply: Reply, _: str) -> None:
    await reply.head(200, "text/html")
    await reply.write(b"<html><body>Welcome to the proxy</body></html>")


async def no_choices(reply: Reply, _: str) -> None:
    await reply.open()
    await reply.event(usage={})
    await reply.end()


async def odd_choices(reply: Reply, _: str) -> None:
    await reply.open()
    await reply.event(choices=["text"])
    await reply.end()


async def no_text(reply: Reply, _: str) -> None:
    await reply.open()
    await reply.token("", "stop")
    await reply.end()


async def finish(reply: Reply, reason: str) -> None:
    await good(reply, reason)


async def long_line(reply: Reply, _: str) -> None:
    await reply.open()
    for _piece in range(320):
        await reply.raw(b"x" * 65_536)
    await reply.end()


async def endless(reply: Reply, _: str) -> None:
    await reply.open()
    while True:
        await reply.token("no end " * 2000)


async def slow(reply: Reply, seconds: str) -> None:
    await begun(reply)
    await asyncio.sleep(float(seconds))
    await reply.token(" at last", "stop")
    await reply.end()


CHUNKS = {
    "list_text": {"choices": [{"delta": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": "stop"}]},
    "number_text": {"choices": [{"delta": {"content": 5}, "finish_reason": "stop"}]},
    "nul_text": {"choices": [{"delta": {"content": "a\0b"}, "finish_reason": "stop"}]},
    "object_model": {"model": {"a": 1}, "choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]},
    "long_model": {"model": "m" * 300, "choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]},
    "list_usage": {"usage": [1], "choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]},
    "huge_usage": {
        "usage": {"prompt_tokens": 2**40, "completion_tokens": -1},
        "choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}],
    },
}


async def chunk(reply: Reply, name: str) -> None:
    await reply.open()
    body = json.dumps(CHUNKS[name]).encode()
    await reply.raw(b"data: " + body + b"\n\ndata: [DONE]\n\n")
    await reply.end()


async def flood(reply: Reply, _: str) -> None:
    await begun(reply)
    while True:
        await reply.raw(b": ping\n\n" * 100)


async def slow_headers(reply: Reply, _: str) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        await reply.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def slow_error(reply: Reply, _: str) -> None:
    await reply.head(500, "application/json")
    for byte in b"x" * 1000:
        await reply.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def too_long(reply: Reply, _: str) -> None:
    body = {"error": {"message": "'max_tokens' is too large: the context length is 4096", "param": "max_tokens"}}
    await reply.head(400, "application/json")
    await reply.write(json.dumps(body).encode())


async def odd_param(reply: Reply, _: str) -> None:
    body = {"error": {"message": "unsupported", "code": "unsupported_parameter", "param": ["x"]}}
    await reply.head(400, "application/json")
    await reply.write(json.dumps(body).encode())


async def refuses(reply: Reply, parameter: str) -> None:
    if parameter in reply.request:
        await reply.error(400, "unsupported_parameter", parameter)
    else:
        await good(reply)


async def refuses_value(reply: Reply, setting: str) -> None:
    """Refuse one value of a parameter, given as `name=value` in JSON."""
    name, _, value = setting.partition("=")
    if reply.request.get(name) == json.loads(value):
        await reply.error(400, "unsupported_value", name)
    else:
        await good(reply)


async def forbids(reply: Reply, parameter: str) -> None:
    """Refuse a parameter as servers on pydantic do: with 422, and its name somewhere in the message."""
    if parameter in reply.request:
        detail = [{"type": "extra_forbidden", "loc": ["body", parameter], "msg": "Extra inputs are not permitted"}]
        await reply.head(422, "application/json")
        await reply.write(json.dumps({"object": "error", "message": {"detail": detail}}).encode())
        reply.writer.close()
    else:
        await good(reply)


async def forbids_echoing(reply: Reply, parameter: str) -> None:
    """Refuse a parameter as `forbids` does, and repeat its value, which is a caller's text."""
    if parameter in reply.request:
        detail = {"type": "extra_forbidden", "loc": ["body", parameter], "msg": "Extra inputs are not permitted"}
        detail["input"] = reply.request[parameter]
        await reply.head(422, "application/json")
        await reply.write(json.dumps({"object": "error", "message": {"detail": [detail]}}).encode())
        reply.writer.close()
    else:
        await good(reply)


async def quotes_unsupported(reply: Reply, parameter: str) -> None:
    """Refuse a parameter in words alone, with the prompt in front of them."""
    if parameter in reply.request:
        prompt = reply.request["messages"][-1]["content"]
        await reply.head(400, "application/json")
        message = f"Prompt {prompt!r}: there is something that is not supported."
        await reply.write(json.dumps({"error": {"message": message}}).encode())
        reply.writer.close()
    else:
        await good(reply)


async def refuses_beside(reply: Reply, names: str) -> None:
    """Refuse the first of two parameters, `one+other`, where both are sent."""
    name, _, other = names.partition("+")
    if name in reply.request and other in reply.request:
        await reply.error(400, "unsupported_value", name)
    else:
        await good(reply)


FAULTS: dict[str, Callable[[Reply, str], Awaitable[None]]] = {
    handler.__name__: handler
    for handler in (
        no_first_byte, silent_headers, stall, stall_pings, empty_deltas, cut, clean_end, cut_after_finish,
        stall_after_finish, bad_json, bad_utf8, split_utf8, error_frame, status, retry_after, quota, no_model, html,
        no_choices, odd_choices, no_text, finish, long_line, endless, slow, refuses, refuses_value, refuses_beside, forbids, forbids_echoing, quotes_unsupported, chunk, flood, slow_headers, slow_error, too_long, odd_param,
        *upstream_dialects.DIALECTS,
    )
}  # fmt: skip
