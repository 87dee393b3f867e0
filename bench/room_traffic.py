"""Messages at a steady rate, when each socket heard of each, and python-socketio's clients beside."""

import asyncio
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import socketio

from tests.support.raw_sockets import NAMESPACE, ProblemAnswer, RawSocket

MARK = b'"text":"n'
DIGITS = 6
REST_SECONDS = 2.0  # after the last message


@dataclass
class Traffic:
    """The messages of a run: when each was sent, the seconds to its acknowledgement, and when sockets heard of it."""

    text: str = "of a usual length: some ten words or so."
    sent: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    heard: defaultdict[RawSocket, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, one: RawSocket, packet: bytes, moment: float) -> None:
        """Note that a socket heard of a message; other events are passed over."""
        place = packet.find(MARK) + len(MARK)
        if place < len(MARK):
            return
        self.heard[one].append((int(packet[place : place + DIGITS]), moment))

    async def post(self, sockets: Sequence[RawSocket], room_ids: Sequence[str], rate: float, number: int) -> None:
        """Send messages by the sockets in turn, so many a second, and wait until all are acknowledged and heard of."""
        started = time.monotonic()
        calls = []
        for one in range(number):
            await asyncio.sleep(max(0.0, started + one / rate - time.monotonic()))
            place = one % len(sockets)
            calls.append(asyncio.create_task(self._post(sockets[place], room_ids[place])))
            tell(one + 1, number)
        await asyncio.gather(*calls)
        await asyncio.sleep(REST_SECONDS)

    async def _post(self, one: RawSocket, room_id: str) -> None:
        number = len(self.sent)
        moment = time.monotonic()
        self.sent.append(moment)
        try:
            await one.call("message", room_id=room_id, text=f"n{number:0{DIGITS}} {self.text}")
        except ProblemAnswer as error:
            self.refused.append(str(error))
            return
        self.acknowledged.append(time.monotonic() - moment)

    def seconds_to_each(self) -> list[float]:
        """Return the seconds from each message to each socket."""
        return [moment - self.sent[number] for heard in self.heard.values() for number, moment in heard]

    def seconds_to_last(self) -> list[float]:
        """Return the seconds from each message to the last socket that heard of it."""
        last: defaultdict[int, float] = defaultdict(float)
        for heard in self.heard.values():
            for number, moment in heard:
                last[number] = max(last[number], moment)
        return [moment - self.sent[number] for number, moment in last.items()]

    def count_wrong(self, listeners: Sequence[RawSocket]) -> int:
        """Return how many of the sockets of one room missed a message, heard one twice, or in an order of their own."""
        orders = [[number for number, _ in self.heard[one]] for one in listeners]
        return sum(sorted(order) != list(range(len(self.sent))) or order != orders[0] for order in orders)


class RealClient:
    """python-socketio's client in a room; `heard` are the numbers of messages, and when each came."""

    def __init__(self, port: int, token: str, room_id: str) -> None:
        self.heard: list[tuple[int, float]] = []
        self._client = socketio.Client(reconnection=False)
        self._client.on("message", self._note, namespace=NAMESPACE)
        url = f"http://127.0.0.1:{port}"
        self._client.connect(url, auth={"token": token}, namespaces=[NAMESPACE], transports=["websocket"])
        self._client.call("join", {"room_id": room_id}, namespace=NAMESPACE)

    def _note(self, message: dict[str, Any]) -> None:
        self.heard.append((int(message["text"][1 : 1 + DIGITS]), time.monotonic()))

    def seconds(self, traffic: Traffic) -> list[float]:
        """Return the seconds from each message to this client."""
        return [moment - traffic.sent[number] for number, moment in self.heard]

    def close(self) -> None:
        """Close the connection."""
        self._client.disconnect()


def tell(count: int, number: int) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{count} of {number} messages", end="" if count < number else "\r\033[K", file=sys.stderr, flush=True)


def median_ms(seconds: Sequence[float]) -> float:
    """Return a median in milliseconds."""
    return statistics.median(seconds) * 1000
