"""A thousand random disconnects of readers: each shows the stored text, and nothing twice."""

import http.client
import itertools
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Server, Upstream, running

pytestmark = pytest.mark.slow

CUTS = 1_000
READERS = 9
MAX_BYTES = 4_000  # of an answer, after which a connection is cut
SECONDS = 30


@pytest.fixture(scope="module")
def paced_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    upstream = Upstream("--interval", "0.01", "--tokens", "300")
    folder: Path = tmp_path_factory.mktemp("disconnects")
    with running(folder, OPENAI_BASE_URL=upstream.url) as server:
        yield server
    upstream.stop()


def read(server: Server, path: str, token: str, limit: int, **headers: str) -> tuple[int, str, bool]:
    """Read a stream up to some bytes and cut it; returns its status, its whole events, and whether it was cut."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})
        response = connection.getresponse()
        data = b""
        while len(data) < limit:
            piece = response.read1(min(700, limit - len(data)))
            if not piece:
                return response.status, data.decode(), False
            data += piece
        return response.status, data.rpartition(b"\n\n")[0].decode(), True
    finally:
        connection.close()


def parse(text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the id, the name and the data of each event."""
    for block in text.split("\n\n"):
        if block.strip() and not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.strip().split("\n"))
            if fields["data"] != "[DONE]":
                yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])


def follow_events(server: Server, token: str, turn: dict[str, Any], chance: random.Random) -> tuple[str, int]:
    """Read a turn's events, each time behind the last one; returns the text and the number of cuts."""
    shown = ""
    last = ""
    for cuts in itertools.count():
        headers = {"Last-Event-ID": last} if last else {}
        status, text, is_cut = read(
            server, f"/api/chat/{turn['id']}/events/", token, chance.randrange(MAX_BYTES), **headers
        )
        assert status in {200, 204}
        for event_id, name, data in parse(text):
            last = event_id
            if name == "delta":
                assert data["offset"] == len(shown) + len(data["text"]) or data["offset"] == len(shown), data
                shown += data["text"]
        if not is_cut:
            return shown, cuts
    raise AssertionError


def follow_ui(server: Server, token: str, turn: dict[str, Any], chance: random.Random) -> tuple[str, int]:
    """Read a turn's UI stream, each time from its start; returns the longest text and the number of cuts."""
    shown = ""
    for cuts in itertools.count():
        limit = chance.randrange(MAX_BYTES)
        status, text, is_cut = read(server, f"/api/ui/chat/{turn['conversation_id']}/stream/", token, limit)
        if status == 204:  # it ended: a client shows what is stored
            stored = server.call("GET", f"/api/chat/{turn['id']}/", token=token)[2]["bot_response"]
            assert stored.startswith(shown)
            return stored, cuts
        found = "".join(data["delta"] for _, _, data in parse(text) if data["type"] == "text-delta")
        assert found.startswith(shown) or shown.startswith(found)
        shown = max(shown, found, key=len)
        if not is_cut:
            return shown, cuts
    raise AssertionError


def poll(server: Server, path: str, token: str, limit: int) -> dict[str, Any] | None:
    """Poll, up to some bytes of the answer; returns the turn, or None where it was cut, also before the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        if limit < MAX_BYTES // 10:
            return None
        response = connection.getresponse()
        data = response.read(limit)
        assert response.status == 200, data
        return None if response.length else json.loads(data)
    finally:
        connection.close()


def follow_polls(server: Server, token: str, turn: dict[str, Any], chance: random.Random) -> tuple[str, int]:
    """Poll a turn, each time behind the text so far; returns the text and the number of cuts."""
    shown = ""
    cuts = 0
    while True:
        path = f"/api/chat/{turn['id']}/?after={len(shown)}&wait=5"
        found = poll(server, path, token, chance.randrange(MAX_BYTES // 2))
        if found is None:
            cuts += 1
            continue
        assert found["text_from"] == len(shown)
        shown += found["bot_response"]
        if found["status"] not in {"pending", "streaming"}:
            return shown, cuts


FOLLOW = (follow_events, follow_ui, follow_polls)


def test_thousand_disconnects_lose_and_double_nothing(paced_server: Server) -> None:
    chance = random.Random(17)
    token = paced_server.sign_in("ada")

    def play(seed: int) -> int:
        drawn = random.Random(seed)
        said = {"message": f"Grüße \N{GRINNING FACE} {seed}"}
        turn = paced_server.call("POST", "/api/chat/", said, token, headers={"Prefer": "respond-async"})[2]
        shown, cuts = FOLLOW[seed % len(FOLLOW)](paced_server, token, turn, drawn)
        stored = paced_server.call("GET", f"/api/chat/{turn['id']}/", token=token)[2]
        assert (stored["status"], shown) == ("completed", stored["bot_response"])
        return cuts

    cut = [0] * len(FOLLOW)
    with ThreadPoolExecutor(READERS) as pool:
        while sum(cut) < CUTS or min(cut) < CUTS // 10:
            seeds = [len(FOLLOW) * chance.randrange(1 << 30) + number % len(FOLLOW) for number in range(READERS)]
            for seed, cuts in zip(seeds, pool.map(play, seeds), strict=True):
                cut[seed % len(FOLLOW)] += cuts
