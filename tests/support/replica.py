"""A device that keeps a copy of its user's data by sync, as API.md tells clients to."""

from typing import Any

from tests.conftest import Person

Thing = tuple[str, str]  # type and id


class Replica:
    """A copy of a user's data, and the cursor of its last sync."""

    def __init__(self, person: Person, *, limit: int = 1_000, window: int = 20) -> None:
        self.person = person
        self.things: dict[Thing, dict[str, Any]] = {}
        self.revisions: dict[Thing, int] = {}
        self.cursor: str | None = None
        self._query = f"?limit={limit}&window={window}"

    def sync(self) -> int:
        """Follow until there is no more; returns the number of requests. It begins anew where the cursor expired."""
        requests = 1
        while self.sync_page():
            requests += 1
        return requests

    def sync_page(self) -> bool:
        """Make one request; returns whether there is more."""
        since = "" if self.cursor is None else f"&since={self.cursor}"
        response = self.person.call("GET", f"/api/sync/{self._query}{since}")
        body = response.get_json()
        if response.status_code == 410:
            self.things = {}
            self.revisions = {}
            self.cursor = None
            return True
        assert response.status_code == 200, body
        for item in body["items"]:
            self.apply(item)
        self.cursor = body["next_cursor"]
        return bool(body["more"])

    def apply(self, item: dict[str, Any]) -> None:
        """Take in an item; an older one than it has changes nothing."""
        if item["type"] == "watermark":
            self._forget_before(item["data"]["before"], set(item["data"]["kept_conversation_ids"]))
            return
        thing = (item["type"], item["id"])
        if item["revision"] < self.revisions.get(thing, 0):
            return
        self.revisions[thing] = item["revision"]
        if item["op"] == "delete":
            gone = self.things.pop(thing, {})
            if item["type"] == "room":
                self._forget_room(item["id"])
            elif gone.get("user_id") == self.person.id:  # of a membership of one's own
                self._forget_room(gone["room_id"])
        elif item["type"] == "read_mark":
            marks = {name: item["data"][name] for name in ("read_seq", "unread")}
            self.things.get(("room", item["id"]), {}).update(marks)
        else:
            self.things[thing] = item["data"]

    def _forget_before(self, before: str, kept: set[str]) -> None:
        for thing, data in list(self.things.items()):
            is_turn = thing[0] == "turn" and data["conversation_id"] not in kept
            if (is_turn or thing[0] == "room_message") and data["created_at"] < before:
                del self.things[thing]

    def _forget_room(self, room_id: str) -> None:
        """Forget a room with all that was in it; its deletion, or the end of the membership, is one item."""
        self.things.pop(("room", room_id), None)
        for thing, data in list(self.things.items()):
            if data.get("room_id") == room_id:
                del self.things[thing]


def read_server(person: Person) -> dict[Thing, dict[str, Any]]:
    """Return all items of a user's lists, as a replica should have them."""
    lists = {
        "conversation": ("/api/conversations/?", "/api/conversations/?archived=true&"),
        "turn": ("/api/chat-history/?",),
        "document": ("/api/documents/?",),
        "collection": ("/api/collections/?",),
    }
    found = {
        (kind, item["id"]): item for kind, paths in lists.items() for path in paths for item in _read_all(person, path)
    }
    return found | _read_rooms(person)


def _read_rooms(person: Person) -> dict[Thing, dict[str, Any]]:
    """Return a user's rooms, with their members and their messages of the last page."""
    found: dict[Thing, dict[str, Any]] = {}
    for room in _read_all(person, "/api/rooms/?"):
        found["room", room["id"]] = room
        for member in _read_all(person, f"/api/rooms/{room['id']}/members/?"):
            found["membership", f"{room['id']}/{member['user_id']}"] = member
        for message in person.call("GET", f"/api/rooms/{room['id']}/messages/?limit=100").get_json()["items"]:
            found["room_message", message["id"]] = message
    return found


def _read_all(person: Person, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = person.call("GET", f"{path}limit=100{cursor}").get_json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"
