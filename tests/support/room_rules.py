"""Random changes of rooms that two users share."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.conftest import Person
from tests.support.replica import Thing

NUMBER = st.integers(0, 1_000)
MAX_MESSAGES = 60  # of a room, so that a page has all


class RoomRules:
    """Rules for a machine with two users; the first one owns all rooms."""

    ada: Person
    eve: Person
    deleted: set[Thing]

    def pick_room(self, person: Person, number: int) -> dict[str, Any] | None:
        rooms = sorted(person.call("GET", "/api/rooms/").get_json()["items"], key=lambda one: str(one["id"]))
        return rooms[number % len(rooms)] if rooms else None

    def pick_person(self, number: int) -> Person:
        return self.eve if number % 2 else self.ada

    @rule(history=st.sampled_from(["joined", "all"]))
    def open_room(self, history: str) -> None:
        assert self.ada.call("POST", "/api/rooms/", {"name": "Lake", "history": history}).status_code == 201

    @rule(number=NUMBER)
    def name_room(self, number: int) -> None:
        room = self.pick_room(self.ada, number)
        if room:
            self.ada.call("PATCH", f"/api/rooms/{room['id']}/", {"name": f"Lake {number}"})

    @rule(number=NUMBER)
    def delete_room(self, number: int) -> None:
        room = self.pick_room(self.ada, number)
        if room and number % 5 == 0:
            assert self.ada.call("DELETE", f"/api/rooms/{room['id']}/").status_code == 204
            self.deleted.add(("room", room["id"]))

    @rule(number=NUMBER, role=st.sampled_from(["member", "reader"]))
    def let_in(self, number: int, role: str) -> None:
        room = self.pick_room(self.ada, number)
        if room is None:
            return
        path = f"/api/rooms/{room['id']}/"
        if self.ada.call("PUT", f"{path}members/{self.eve.id}/", {"role": role}).status_code == 409:  # she had left
            token = self.ada.call("POST", f"{path}invites/", {"expires_in": 60}).get_json()["token"]
            assert self.eve.call("POST", "/api/rooms/join/", {"token": token}).status_code == 200

    @rule(number=NUMBER)
    def end_membership(self, number: int) -> None:
        room = self.pick_room(self.eve, number)
        if room:
            person = self.pick_person(number)
            assert person.call("DELETE", f"/api/rooms/{room['id']}/members/{self.eve.id}/").status_code == 204

    @rule(number=NUMBER)
    def write(self, number: int) -> None:
        person = self.pick_person(number)
        room = self.pick_room(person, number)
        if room and room["last_seq"] < MAX_MESSAGES:
            status = person.call("POST", f"/api/rooms/{room['id']}/messages/", {"text": f"m{number}"}).status_code
            assert status == (403 if room["role"] == "reader" else 201)

    @rule(number=NUMBER, deletes=st.booleans())
    def change_message(self, number: int, deletes: bool) -> None:
        person = self.pick_person(number)
        room = self.pick_room(person, number)
        if room is None:
            return
        path = f"/api/rooms/{room['id']}/messages/"
        messages = person.call("GET", f"{path}?limit=100").get_json()["items"]
        if messages:
            message = f"{path}{messages[number % len(messages)]['id']}/"
            method, body = ("DELETE", None) if deletes else ("PATCH", {"text": f"edited {number}"})
            assert person.call(method, message, body).status_code in {200, 204, 403, 404}

    @rule(number=NUMBER)
    def mark_room_read(self, number: int) -> None:
        person = self.pick_person(number)
        room = self.pick_room(person, number)
        if room:
            body = {"seq": number % (room["last_seq"] + 1)}
            assert person.call("PUT", f"/api/rooms/{room['id']}/read/", body).status_code == 204
