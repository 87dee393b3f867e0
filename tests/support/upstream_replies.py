"""Answers of the scripted upstream: the parts that good and faulty ones are made of."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Reply:
    """One answer being written."""

    def __init__(self, writer: asyncio.StreamWriter, request: dict[str, Any], pace: "Pace") -> None:
        self.writer = writer
        self.request = request
        self.pace = pace
        self.question = next((_text(m) for m in reversed(request["messages"]) if m["role"] == "user"), "")

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
        prompt = sum(len(_text(m).split()) for m in self.request["messages"])
        await self.event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": len(self.tokens())})

    def tokens(self) -> list[str]:
        asked = self.question.rsplit("</passage>\n\n", 1)[-1]
        words = re.findall(r"\s*\S+", self.pace.answers().get(asked, self._answer()))
        return words + [f" w{n}" for n in range(len(words), self.pace.tokens)]

    def _answer(self) -> str:
        form = self.request.get("response_format", {"type": "text"})
        if form["type"] != "text":
            properties = form["json_schema"]["schema"]["properties"] if "json_schema" in form else ["city"]
            return json.dumps(dict.fromkeys(properties, "Paris"))
        last = self.request["messages"][-1]
        if last["role"] == "tool":
            return f"The tool said: {last['content']}"
        return "You said: " + self.question

    def find_tool(self) -> str | None:
        """Return the tool to call: the one that must be, else the first one that was not called since the question."""
        choice = self.request.get("tool_choice", "auto")
        if isinstance(choice, dict):
            return choice["function"]["name"]
        messages = self.request["messages"]
        if choice == "none" or (choice == "auto" and messages[-1]["role"] == "tool"):
            return None
        asked = max(at for at, message in enumerate(messages) if message["role"] == "user")
        called = {call["function"]["name"] for m in messages[asked:] for call in m.get("tool_calls") or ()}
        names = [tool["function"]["name"] for tool in self.request.get("tools", ())]
        return next((name for name in names if name not in called), None)

    async def calls(self, name: str) -> None:
        """Call a tool, in pieces."""
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        pieces = [first, *({"index": 0, "function": {"arguments": piece}} for piece in ('{"city"', ': "Paris"}'))]
        for piece in pieces:
            await self.event(choices=[{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}])

    async def error(self, status: int, code: str | None = None, param: str | None = None, extra: str = "") -> None:
        message = f"Upstream words that nobody may repeat, about {param or code or status}."
        body = json.dumps({"error": {"message": message, "type": "scripted", "code": code, "param": param}}).encode()
        await self.head(status, "application/json", f"{extra}Content-Length: {len(body)}\r\n")
        await self.write(body)


class Pace:
    """How fast a good answer comes, in seconds and tokens."""

    def __init__(self, first: float, interval: float, tokens: int, script: str = "") -> None:
        self.first = first
        self.interval = interval
        self.tokens = tokens
        self.script = script

    def answers(self) -> dict[str, str]:
        path = Path(self.script)
        return json.loads(path.read_text()) if self.script and path.exists() else {}


async def words(reply: Reply) -> None:
    for number, token in enumerate(reply.tokens()):
        if number and reply.pace.interval:
            await asyncio.sleep(reply.pace.interval)
        await reply.token(token)


async def good(reply: Reply, finish: str = "stop") -> None:
    await asyncio.sleep(reply.pace.first)
    await reply.open()
    if tool := reply.find_tool():
        await reply.calls(tool)
        finish = "tool_calls"
    else:
        await words(reply)
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
