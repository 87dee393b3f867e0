"""A scripted OpenAI-compatible server over a socket: `python -m tests.support.upstream --port 0`.

The last user message decides how it answers: `[[cut]] anything` plays the fault `cut`; a message without
brackets is repeated, `You said: ...`, token by token. It keeps the prompts it received (`GET /_log`) and
counts its calls (`GET /_counters`). The port that it got is the first line on standard output.
"""

import argparse
import asyncio
import json
import re
from collections import Counter, deque
from typing import Any

from tests.support import upstream_faults, upstream_vectors
from tests.support.upstream_replies import Pace, Reply, good, whole

MODEL = "scripted-1"
FAULT = re.compile(r"\[\[(\w+)(?: (\S+))?\]\]")


class Upstream:
    """The server: its log, its counters and its pace."""

    def __init__(self, pace: Pace, *, embeds: bool = True) -> None:
        self.pace = pace
        self.embeds = embeds
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
        request = json.loads(await reader.readexactly(int(length[1])) if length else b"null")
        if path.endswith("/models"):
            await self.tell({"object": "list", "data": [{"id": MODEL, "object": "model"}]}, writer)
            return True
        self.counters["calls"] += 1
        self.log.append({"path": path, "head": head, "request": request})
        if path.endswith("/embeddings") and not self.embeds:
            await self.tell({"detail": "Not Found"}, writer, 404)
            return True
        if path.endswith(("/embeddings", "/rerank")):
            status, body = upstream_vectors.answer(path, request)
            await self.tell(body, writer, status)
            return True
        reply = Reply(writer, request, self.pace)
        fault = FAULT.search(reply.question)
        if fault is None:
            await (good if request.get("stream") else whole)(reply)
            self.counters["answered"] += 1
            return True
        await upstream_faults.FAULTS[fault[1]](reply, fault[2] or "")
        return False

    async def tell(self, facts: Any, writer: asyncio.StreamWriter, status: int = 200) -> None:
        body = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first", type=float, default=0.0, help="seconds before the first token")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between tokens")
    parser.add_argument("--tokens", type=int, default=0, help="tokens at least")
    parser.add_argument("--script", default="", help="a JSON file with the answers to some questions, read each time")
    parser.add_argument("--chat-only", action="store_true", help="have no /embeddings")
    options = parser.parse_args()
    pace = Pace(options.first, options.interval, options.tokens, options.script)
    upstream = Upstream(pace, embeds=not options.chat_only)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", options.port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
