"""A scripted OpenAI-compatible server over a socket: `python -m tests.upstream --port 0`.

The last user message decides how it answers: `[[cut]] anything` plays the fault `cut`; a message without
brackets is repeated, `You said: ...`, token by token. It keeps the prompts it received (`GET /_log`) and
counts its calls (`GET /_counters`). The port that it got is the first line on standard output.
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

MODEL = "scripted-1"
FAULT = re.compile(r"\[\[(\w+)(?: (\S+))?\]\]")
EVER = 3600.0


class Reply:
    """One answer being written."""

    def __init__(self, writer: asyncio.StreamWriter, request: dict[str, Any], pace: "Pace") -> None:
        self.writer = writer
        self.request = request
        self.pace = pace
        self.question: str = next((m["content"] for m in reversed(request["messages"]) if m["role"] == "user"), "")

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, kind: str = "text/event-stream", extra: str = "") -> None:
        await self.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{extra}Connection: close\r\n\r\n".encode())

    async def open(self) -> None:
        """Begin a chunked event stream that keeps the connection."""
        await self.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.write(b"0\r\n\r\n")

    async def event(self, **chunk: Any) -> None:
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": self.request["model"], **chunk}
        await self.raw(b"data: " + json.dumps(body).encode() + b"\n\n")

    async def token(self, text: str, finish: str | None = None) -> None:
        await self.event(choices=[{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}])

    async def usage(self) -> None:
        prompt = sum(len(m["content"].split()) for m in self.request["messages"])
        await self.event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": len(self.tokens())})

    def tokens(self) -> list[str]:
        words = re.findall(r"\s*\S+", "You said: " + self.question)
        return words + [f" w{n}" for n in range(len(words), self.pace.tokens)]

    async def error(self, status: int, code: str | None = None, param: str | None = None, extra: str = "") -> None:
        message = f"Upstream words that nobody may repeat, about {param or code or status}."
        body = json.dumps({"error": {"message": message, "type": "scripted", "code": code, "param": param}}).encode()
        await self.head(status, "application/json", f"{extra}Content-Length: {len(body)}\r\n")
        await self.write(body)


class Pace:
    """How fast a good answer comes, in seconds and tokens."""

    def __init__(self, first: float, interval: float, tokens: int) -> None:
        self.first, self.interval, self.tokens = first, interval, tokens


async def good(reply: Reply, finish: str = "stop") -> None:
    await asyncio.sleep(reply.pace.first)
    await reply.open()
    for number, token in enumerate(reply.tokens()):
        if number and reply.pace.interval:
            await asyncio.sleep(reply.pace.interval)
        await reply.token(token)
    await reply.token("", finish)
    await reply.usage()
    await reply.raw(b"data: [DONE]\n\n")
    await reply.end()


async def whole(reply: Reply) -> None:
    """Answer a request that does not ask for a stream."""
    tokens = reply.tokens()
    await asyncio.sleep(reply.pace.first + reply.pace.interval * len(tokens))
    message = {"role": "assistant", "content": "".join(tokens)}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": reply.request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    await reply.write(head.encode() + data)


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


async def refuses(reply: Reply, parameter: str) -> None:
    if parameter in reply.request:
        await reply.error(400, "unsupported_parameter", parameter)
    else:
        await good(reply)


FAULTS: dict[str, Callable[[Reply, str], Awaitable[None]]] = {
    handler.__name__: handler
    for handler in (
        no_first_byte, silent_headers, stall, stall_pings, empty_deltas, cut, clean_end, cut_after_finish,
        stall_after_finish, bad_json, bad_utf8, split_utf8, error_frame, status, retry_after, quota, no_model, html,
        no_choices, odd_choices, no_text, finish, long_line, endless, slow, refuses,
    )
}  # fmt: skip


class Upstream:
    """The server: its log, its counters and its pace."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.log: deque[dict[str, Any]] = deque(maxlen=1000)
        self.counters: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters["connections"] += 1
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.counters["left"] += 1
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ", 2)[1]
        if path.startswith("/_"):
            await self.tell({"/_log": list(self.log), "/_counters": self.counters}[path], writer)
            return True
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        request = json.loads(await reader.readexactly(int(length[1]) if length else 0))
        self.counters["calls"] += 1
        self.log.append({"path": path, "head": head, "request": request})
        reply = Reply(writer, request, self.pace)
        fault = FAULT.search(reply.question)
        if fault is None:
            await (good if request.get("stream") else whole)(reply)
            self.counters["answered"] += 1
            return True
        await FAULTS[fault[1]](reply, fault[2] or "")
        return False

    async def tell(self, facts: Any, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(facts).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first", type=float, default=0.0, help="seconds before the first token")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between tokens")
    parser.add_argument("--tokens", type=int, default=0, help="tokens at least")
    options = parser.parse_args()
    upstream = Upstream(Pace(options.first, options.interval, options.tokens))
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", options.port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
