"""The load: clients that ask over connections of their own, and check that each answer is to its own question."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace


@dataclass
class Target:
    """A server, the path that answers, and how a question is put to it and an answer read."""

    name: str
    port: int
    path: str
    ask: Callable[[str], dict[str, object]]
    read: Callable[[bytes], str]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """The result of one run: seconds of each request, the whole run's seconds, and wrong answers."""

    latencies: list[float]
    seconds: float
    wrong: list[str]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """Median latency in milliseconds."""
        return statistics.median(self.latencies) * 1000

    @property
    def p99(self) -> float:
        """99th percentile of the latency in milliseconds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] * 1000


def request(target: Target, question: str) -> bytes:
    """Return one HTTP request."""
    body = json.dumps(target.ask(question)).encode()
    headers = {"Host": "bench", "Content-Type": "application/json", "Content-Length": str(len(body)), **target.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one HTTP response, by length or in chunks; returns status and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if b"transfer-encoding: chunked" not in head:
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        return status, await reader.readexactly(length)
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return status, b"".join(parts)


async def client(target: Target, number: int, wait: float, until: float, result: Result) -> None:
    """Wait for the turn to begin, then ask one question after another until the time is over."""
    await asyncio.sleep(wait)
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    turn = 0
    while time.monotonic() < until:
        question = f"question {number} {turn} of {target.name}"
        started = time.monotonic()
        writer.write(request(target, question))
        status, body = await response(reader)
        result.latencies.append(time.monotonic() - started)
        if status != 200 or target.read(body) != f"You said: {question}":
            result.wrong.append(f"{status} {body[:200]!r}")
        turn += 1
    writer.close()


def run(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run a load to its end."""
    return asyncio.run(work())


def load(target: Target, clients: int, seconds: float, spread: float = 0.0, *, tokens: Sequence[str] = ()) -> Result:
    """Let so many clients ask for so many seconds; raises RuntimeError when any answer is not to its question.

    With `tokens` they are of several users in turn. They begin evenly over the first `spread` seconds: clients that
    all begin in one instant stay in step with a slow upstream for ever and measure the length of their own queue, not
    the server.
    """

    async def work() -> Result:
        result = Result([], 0, [])
        started = time.monotonic()
        waits = [spread * number / clients for number in range(clients)]
        headers = [target.headers | {"Authorization": f"Bearer {token}"} for token in tokens] or [target.headers]
        targets = [replace(target, headers=one) for one in headers]
        until = started + seconds
        await asyncio.gather(
            *(client(targets[number % len(targets)], number, wait, until, result) for number, wait in enumerate(waits))
        )
        result.seconds = time.monotonic() - started
        return result

    result = run(work)
    if result.wrong:
        raise RuntimeError(f"{target.name}: {len(result.wrong)} wrong answers, such as {result.wrong[0]}")
    return result
