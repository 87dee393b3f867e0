"""Typing and presence as sockets hear of them, with a clock and stores of their own."""

from typing import Any
from uuid import UUID, uuid4

from chatbot.services.rooms.records import RoomUser
from chatbot.services.rooms.signals.memory import MemoryPresence, MemoryTypingFeed
from chatbot.services.rooms.signals.port import Typing
from chatbot.sockets.presence import Presence
from chatbot.sockets.typing_events import INTERVAL_SECONDS, TypingEvents
from tests.support.emits import NotedEmits, connect, make_registry

ADA = RoomUser(UUID(int=1), "ada")
EVE = RoomUser(UUID(int=2), "eve")
ROOM = UUID(int=11)
OTHER = UUID(int=12)


def show(user: RoomUser) -> dict[str, Any]:
    return {"id": str(user.id), "username": user.username}


def test_typing_is_emitted_to_others_and_not_again_within_the_interval() -> None:
    registry = make_registry()
    connect(registry, ADA, ROOM)
    hers = [connect(registry, EVE, ROOM).sid for _ in range(2)]
    connect(registry, EVE, OTHER)
    moment = [100.0]
    emits = NotedEmits()
    feed = MemoryTypingFeed()
    typing_events = TypingEvents(emits, registry, feed, timer=lambda: moment[0])
    expected = {"room_id": str(ROOM), "user_id": str(ADA.id), "username": "ada", "expires_in": 6}
    for _ in range(3):
        typing_events.publish(ROOM, ADA)
    feed.publish(Typing(ROOM, ADA))  # of another process, where she has a socket too
    typing_events.poll()
    assert emits.events == [("typing", expected, hers)]
    typing_events.publish(ROOM, EVE)  # others are not held up
    moment[0] += INTERVAL_SECONDS + 0.1
    typing_events.publish(ROOM, ADA)
    typing_events.poll()
    assert [data["username"] for _, data, _ in emits.events] == ["ada", "eve", "ada"]


def test_presence_is_a_diff_in_which_a_user_counts_once() -> None:
    registry = make_registry()
    emits = NotedEmits()
    presence = Presence(emits, registry, MemoryPresence())
    first = connect(registry, ADA, ROOM)
    assert presence.list_present(ROOM, ADA) == [ADA]
    presence.poll()
    assert emits.events == []
    second = connect(registry, EVE, ROOM)
    third = connect(registry, EVE, ROOM)
    assert presence.list_present(ROOM, EVE) == [ADA, EVE]
    presence.poll()
    presence.poll()
    sids = [first.sid, second.sid, third.sid]
    came = {"room_id": str(ROOM), "joins": [show(EVE)], "leaves": []}
    assert emits.events == [("presence", came, sids)]
    registry.remove(second.sid)
    presence.poll()
    assert len(emits.events) == 1
    third.rooms.clear()  # she has left the room
    presence.poll()
    assert emits.events[1:] == [("presence", {**came, "joins": [], "leaves": [show(EVE)]}, [first.sid])]
    registry.remove(first.sid)
    presence.poll()
    assert len(emits.events) == 2
    assert presence.list_present(ROOM, EVE) == [EVE]


def test_presence_of_a_full_room_is_emitted_once_a_look() -> None:
    registry = make_registry()
    emits = NotedEmits()
    presence = Presence(emits, registry, MemoryPresence())
    connect(registry, ADA, ROOM)
    presence.list_present(ROOM, ADA)
    for number in range(500):
        connect(registry, RoomUser(uuid4(), f"user {number}"), ROOM)
    presence.poll()
    ((_, event, sids),) = emits.events
    assert (len(event["joins"]), len(sids)) == (500, 501)
