"""`make bench-streams`: many streams at once, and the time that this server adds to the first token of each.

The upstream sends its first token after 200 ms and 50 tokens at 20 ms (the slow ones: 5 tokens a second). Streams
begin one after another within the time that one of them takes, so that all are open together, and each is asked
once; the load generator and the upstream run on the same machine. Every text is compared with its question's answer.
Processor time is the workers', from /proc; memory is the growth of their resident sets while all streams are open.
One worker on SQLite, then two on PostgreSQL and Redis.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Target, request
from bench.report import Report
from tests.support.chaos import stack
from tests.support.processes import Server, Upstream, running

FIRST = 0.2
INTERVAL = 0.02
TOKENS = 50
SLOW_INTERVAL = 0.2
TICKS = os.sysconf("SC_CLK_TCK")
# Streams, and the most that may be added to the first token in ms: median, 99th percentile (None: no bound).
MUST: dict[int, tuple[float, float | None]] = {64: (8, 40), 256: (15, 150), 512: (200, None)}
SLOW = 2000
MAX_PROCESSOR_MS = 12.0  # ms for each stream
MAX_MEMORY_MB = 0.15  # MB for each slow stream
WORKERS: dict[str, dict[str, str]] = {"sqlite": {}, "hosts": {"WEB_CONCURRENCY": "2"}}
SAID = {"sqlite": "one worker, SQLite", "hosts": "two workers, PostgreSQL and Redis"}
MAX_SAVING_MS = 2.0  # ms at the median that saving running answers may cost, 64 streams
Row = dict[str, float]


@dataclass
class Seen:
    """The result of one wave of streams: seconds to each first token, the longest ones without text, wrong texts."""

    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def text_of(line: bytes) -> str:
    """Return the text that one line of either protocol brings."""
    data = json.loads(line[6:])
    if "text" in data:
        return str(data["text"])
    return "".join(choice["delta"].get("content") or "" for choice in data.get("choices", []))


async def stream(target: Target, number: int, wait: float, tokens: int, seen: Seen) -> None:
    """Wait for the turn to begin, then read one stream to its end."""
    await asyncio.sleep(wait)
    question = f"question {number}"
    started = time.monotonic()
    first = 0.0
    last = 0.0
    gap = 0.0
    text = []
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(request(target, question))
    line = b""
    while not line.startswith((b"event: done", b"data: [DONE]", b"event: error", b"HTTP/1.1 4", b"HTTP/1.1 5")):
        line = await reader.readline()
        if not line:
            break
        if line.startswith((b'data: {"offset"', b'data: {"id": "chatcmpl')):
            now = time.monotonic()
            first = first or now - started
            gap = max(gap, now - (last or now))
            last = now
            text.append(text_of(line))
    if line.startswith(b"HTTP/1.1"):
        line += (await reader.read(2_000)).rpartition(b"\r\n")[2]  # the problem document says why
    writer.close()
    words = f"You said: {question}".split(" ")
    expected = " ".join([*words, *(f"w{n}" for n in range(len(words), tokens))])
    seen.first.append(first)
    seen.gaps.append(gap)
    if "".join(text) != expected:
        seen.wrong.append(f"{line.decode()} {''.join(text)[:200]!r}")


def wave(target: Target, streams: int, spread: float, tokens: int) -> Seen:
    """Open so many streams within so many seconds and read them to their ends."""
    seen = Seen()

    async def work() -> None:
        await asyncio.gather(*(stream(target, n, spread * n / streams, tokens, seen) for n in range(streams)))

    gc.collect()
    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()
    return seen


def processor(pids: list[int]) -> float:
    """Return the seconds of processor that some processes have used."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS


def memory(pids: list[int]) -> float:
    """Return the resident sets of some processes in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def targets(server: Server, upstream: Upstream) -> list[Target]:
    """Return the upstream itself and this server."""
    credential = {"Authorization": f"Bearer {server.sign_in()}"}

    def completion(question: str) -> dict[str, object]:
        return {"model": "m", "stream": True, "messages": [{"role": "user", "content": question}]}

    def message(question: str) -> dict[str, object]:
        return {"message": question, "stream": True}

    return [
        Target("upstream", upstream.port, "/v1/chat/completions", completion, bytes.decode),
        Target("chatbot", server.port, "/api/chat/", message, bytes.decode, credential),
    ]


def percentile(values: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def compare(kind: str, streams: int, rounds: int, *, slow: bool = False, **settings: str) -> Row:
    """Alternate waves to the upstream and to this server; returns medians over the rounds."""
    interval = SLOW_INTERVAL if slow else INTERVAL
    tokens = TOKENS
    lasts = FIRST + interval * tokens
    upstream = Upstream("--first", str(FIRST), "--interval", str(interval), "--tokens", str(tokens))
    found: dict[str, list[Seen]] = {"upstream": [], "chatbot": []}
    used = []
    grown = []
    try:
        with (
            tempfile.TemporaryDirectory() as name,
            stack(kind, Path(name)) as base,
            running(
                Path(name), OPENAI_BASE_URL=upstream.url, LOG_LEVEL="warning", **base, **WORKERS[kind], **settings
            ) as server,
        ):
            direct, ours = targets(server, upstream)
            wave(ours, 20, 0.2, tokens)  # warm
            workers = server.workers()
            for _ in range(rounds):
                found["upstream"].append(wave(direct, streams, lasts, tokens))
                before = processor(workers)
                empty = memory(workers)
                peak = subprocess.Popen(
                    [sys.executable, "-c", WATCH, *map(str, workers)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
                )
                found["chatbot"].append(wave(ours, streams, lasts, tokens))
                used.append((processor(workers) - before) / streams * 1000)
                grown.append((float(peak.communicate(b"x")[0]) - empty) / streams)
    finally:
        upstream.stop()
    wrong = [text for results in found.values() for seen in results for text in seen.wrong]
    first = {name: [seen.first for seen in results] for name, results in found.items()}
    row = {
        f"{name} {share}": statistics.median(percentile(values, share) for values in waves)
        for name, waves in first.items()
        for share in (0.5, 0.99)
    }
    with contextlib.suppress(IndexError):
        print(f"  wrong, such as: {wrong[0]}")
    return row | {"processor": statistics.median(used), "memory": max(grown[:1]), "wrong": float(len(wrong))}


# Tells the highest resident sets that processes had together until standard input closes.
WATCH = """
import os, select, sys
page, most = os.sysconf("SC_PAGE_SIZE"), 0
while not select.select([sys.stdin], [], [], 0.2)[0]:
    most = max(most, sum(int(open(f"/proc/{pid}/statm").read().split()[1]) for pid in sys.argv[1:]) * page / 2**20)
print(most)
"""


def tell(report: Report, name: str, row: Row, p50: float | None, p99: float | None) -> None:
    """Report one row and its bounds."""
    for share, bound in ((0.5, p50), (0.99, p99)):
        added = row[f"chatbot {share}"] - row[f"upstream {share}"]
        report.tell(f"{name}: added to the first token, p{share * 100:.0f}", added, "ms", bound, more=False)
    report.tell(f"{name}: first token, of the upstream's", row["chatbot 0.5"] / row["upstream 0.5"], "x")
    report.tell(f"{name}: processor of a stream", row["processor"], "ms", MAX_PROCESSOR_MS, more=False)
    report.tell(f"{name}: memory of a stream", row["memory"], "MB")
    report.tell(f"{name}: wrong texts", row["wrong"], "", 0, more=False)


def main() -> int:
    """Measure, print, and return how many bounds were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, action="append", help=f"of {[*MUST, SLOW]}; default: all")
    parser.add_argument("--stack", choices=list(WORKERS), action="append", help="default: both")
    options = parser.parse_args()
    wanted = options.streams or [*MUST, SLOW]
    report = Report("streams")
    for kind in options.stack or WORKERS:
        measure(kind, wanted, options.rounds, report)
    report.write()
    return report.missed()


def measure(kind: str, wanted: list[int], rounds: int, report: Report) -> None:
    """Measure one stack and tell."""
    print(f"{os.cpu_count()} cores, {SAID[kind]}, medians of {rounds} waves")
    for streams, (p50, p99) in MUST.items():
        if streams in wanted:
            tell(report, f"{kind}, {streams} streams", compare(kind, streams, rounds), p50, p99)
    if 64 in wanted:
        on, off = (compare(kind, 64, rounds, TURN_FLUSH_SECONDS=seconds) for seconds in ("1", "0"))
        cost = on["chatbot 0.5"] - off["chatbot 0.5"]
        report.tell(f"{kind}, 64 streams: saving running answers, p50", cost, "ms", MAX_SAVING_MS, more=False)
    if SLOW in wanted:
        row = compare(kind, SLOW, 1, slow=True)
        tell(report, f"{kind}, {SLOW} slow streams", row, None, None)
        report.tell(f"{kind}, {SLOW} slow streams: memory of each", row["memory"], "MB", MAX_MEMORY_MB, more=False)


if __name__ == "__main__":
    sys.exit(main())
