"""Questions to the bots of rooms while members and rights change: `python -m tests.support.room_canaries`.

Each document has a canary. The model repeats its prompt, so that all that it was shown comes out.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.models import RoomMessage
from chatbot.rag.types import CompletionRequest, Finish
from chatbot.services.chat.state import get_chat_state
from chatbot.services.rooms.bot.texts import find_readers, get_answer_texts
from tests.api.test_documents import send, work
from tests.conftest import Person, join
from tests.support import applications
from tests.support.processes import Server
from tests.support.room_bot import RUNNING, Json, list_messages, post
from tests.support.waiting import wait_for

CANARY = re.compile(r"canary-(\d\d)")  # of one length: the beginning of one, where a prompt is cut off, is none
MAX_QUESTIONS = 40  # after which a room is made anew: its pages stay short
CHANGE_SHARE = 0.4  # of the questions: a change before them, and of as many one in their middle


class Canaries:
    """Users with a collection each, rooms of some of them, and the rights of each by their own account."""

    def __init__(self, app: Flask, *, users: int, rooms: int, seed: int = 0) -> None:
        self._app = app
        self._chance = random.Random(seed)
        self.found_by_owners = 0
        self.changes = 0
        self._prompt = ""
        self._room = self._asker = 0
        self._is_private = False
        self._allowed: set[int] = set()
        self._foreign: set[int] = set()
        self._asked = [0] * rooms
        self.people = [give_key(join(app.test_client(), f"user{number}")) for number in range(users)]
        self._by_id = {person.id: number for number, person in enumerate(self.people)}
        self._shared = [False] * users
        self._readers: list[set[int]] = [set() for _ in range(users)]
        self._collections: list[str] = []
        for number, person in enumerate(self.people):
            made = person.call("POST", "/api/collections/", {"name": f"Harbour {number}"}).get_json()
            self._collections.append(made["id"])
            text = f"The code of every harbour is secret. The code of harbour{number} is canary-{number:02}."
            send(person, f"Harbour {number}", text, collection_id=made["id"])
        work(app)
        self._members: list[set[int]] = []
        self._rooms: list[Json] = []
        for _ in range(rooms):
            self._members.append(set())
            self._rooms.append({})
            self._open_room(len(self._rooms) - 1)
        with app.app_context():
            get_chat_state().llm().models[0].stream = self._stream  # type: ignore[attr-defined]  # of the scripted model

    def ask(self) -> None:
        """Let a member of a room ask for a canary, and check all that any user hears of it."""
        if self._chance.random() < CHANGE_SHARE:
            self.change()
        at = self._chance.randrange(len(self._rooms))
        asker = self._chance.choice(sorted(self._members[at]))
        wanted = asker if self._chance.random() < 0.3 else self._chance.randrange(len(self.people))
        is_private = self._chance.random() < 0.2
        text = f"@bot{'!' if is_private else ''} What is the code of harbour{wanted}?"
        self._room = at
        self._is_private = is_private
        self._asker = asker
        self._allowed = self._find_readable({asker} if is_private else self._members[at])
        person = self.people[asker]
        is_searched = wanted == asker or asker in self._readers[wanted]
        self._prompt = ""
        question = post(person, self._rooms[at], text)
        self._wait_for_end(question)
        assert not self._foreign, f"the prompt has FOREIGN {self._foreign}: {self._prompt}"
        if is_private and is_searched and not self._rooms[at]["collection_ids"]:
            assert wanted in find_canaries(self._prompt), (wanted, self._prompt)
            self.found_by_owners += 1
        self._check_readers(at, question)
        self._asked[at] += 1
        if self._asked[at] > MAX_QUESTIONS:
            self._open_room(at)

    def change(self) -> None:
        """Make one change of a membership or of a right."""
        self.changes += 1
        self._chance.choice([self._share, self._change_reader, self._change_reader, self._join, self._leave])()

    def _stream(self, request: CompletionRequest) -> Iterator[str | Finish]:
        """Repeat the prompt in three pieces; rights may change between them."""
        text = "\n".join(message.content for message in request.messages)
        self._prompt = text
        self._foreign |= find_canaries(text) - self._allowed
        third = len(text) // 3 + 1
        for start in range(0, len(text), third):
            if start and self._chance.random() < CHANGE_SHARE / 2:
                self.change()
            yield text[start : start + third]
            self._check_deltas()
        yield Finish("stop", "memory", 1, 1, {})

    def _check_deltas(self) -> None:
        """Check the texts that a look of the sockets would emit now."""
        with self._app.app_context():
            running = get_answer_texts().list_texts([UUID(self._rooms[self._room]["id"])])
            readers = find_readers([one.message_id for one in running])
        for one in running:
            for reader in readers.get(one.message_id, ()):
                number = self._by_id[str(reader)]
                assert number in self._members[self._room]
                assert not self._is_private or number == self._asker
                self._check_text(number, one.text)

    def _wait_for_end(self, question: Json) -> None:
        """Wait for the end of an answer, also of an asker that is no member any more."""
        answer = sa.select(RoomMessage.status).where(RoomMessage.reply_to == UUID(question["id"]))

        def find_end() -> str | None:
            with self._app.app_context(), read() as connection:
                status: str = connection.scalar(answer) or ""
                return status if status not in RUNNING else None

        assert wait_for(find_end) in {"completed", "failed", "cancelled"}

    def _check_readers(self, at: int, question: Json) -> None:
        """Check the pages of the asker, of another member and of a stranger."""
        path = f"/api/rooms/{self._rooms[at]['id']}/"
        others = [number for number in range(len(self.people)) if number not in self._members[at]]
        for number in self._chance.sample(sorted(self._members[at]), min(2, len(self._members[at]))):
            person = self.people[number]
            pages = [list_messages(person, self._rooms[at])]
            pages.append(person.call("GET", f"{path}changes/?limit=500").get_json()["items"])
            for message in (*pages[0], *(one["data"] for one in pages[1] if one["type"] == "message")):
                assert message["visible_to"] in {None, person.id}
                if message["kind"] == "bot" and message["visible_to"] is None:
                    self._check_text(number, str(message))
        for number in others[:1]:
            for page in ("messages/", "changes/", f"messages/{question['id']}/cancel/"):
                method = "POST" if page.endswith("cancel/") else "GET"
                assert self.people[number].call(method, path + page).status_code == 404

    def _check_text(self, number: int, text: str) -> None:
        found = find_canaries(text) - self._find_readable({number})
        assert not found, f"{self.people[number].name} reads {found}"

    def _find_readable(self, users: set[int]) -> set[int]:
        """Return the canaries that all of some users may read."""
        everything = range(len(self.people))
        return {
            canary
            for canary in everything
            if self._shared[canary] or all(user == canary or user in self._readers[canary] for user in users)
        }

    def _open_room(self, at: int) -> None:
        owner, *others = self._chance.sample(range(len(self.people)), self._chance.randint(1, 6))
        values: Json = {"name": "Pier", "history": self._chance.choice(["joined", "all"])}
        readable = sorted(self._find_readable({owner}))
        if self._chance.random() < 0.3:
            named = self._chance.sample(readable, min(5, len(readable)))
            values["collection_ids"] = [self._collections[one] for one in named]
        response = self.people[owner].call("POST", "/api/rooms/", values)
        assert response.status_code == 201, response.get_json()
        self._rooms[at] = response.get_json()
        self._members[at] = {owner}
        self._asked[at] = 0
        for number in others:
            self._add(at, number)

    def _add(self, at: int, number: int) -> None:
        owner = self._find_owner(at)
        path = f"/api/rooms/{self._rooms[at]['id']}/members/{self.people[number].id}/"
        if owner.call("PUT", path, {"role": "member"}).status_code == 204:
            self._members[at].add(number)

    def _find_owner(self, at: int) -> Person:
        found = self.people[min(self._members[at])].call("GET", f"/api/rooms/{self._rooms[at]['id']}/members/")
        owner = next(one for one in found.get_json()["items"] if one["role"] == "owner")
        return self.people[self._by_id[owner["user_id"]]]

    def _share(self) -> None:
        number = self._chance.randrange(len(self.people))
        is_shared = self._chance.random() < 0.5
        path = f"/api/collections/{self._collections[number]}/"
        values = {"visibility": "shared" if is_shared else "private"}
        # A right is given only after it is in force, and taken before.
        self._shared[number] = self._shared[number] and is_shared
        assert self.people[number].call("PATCH", path, values).status_code == 200
        self._shared[number] = is_shared

    def _change_reader(self) -> None:
        canary, number = self._chance.sample(range(len(self.people)), 2)
        person = self.people[number]
        path = f"/api/collections/{self._collections[canary]}/members/{person.id}/"
        if number in self._readers[canary]:
            self._readers[canary].discard(number)
            assert self.people[canary].call("DELETE", path).status_code == 204
        elif self.people[canary].call("PUT", path, {"role": "reader"}).status_code == 204:
            accepted = person.call("POST", f"/api/invitations/{self._collections[canary]}/accept/")
            if accepted.status_code < 300:
                self._readers[canary].add(number)

    def _join(self) -> None:
        at = self._chance.randrange(len(self._rooms))
        self._add(at, self._chance.randrange(len(self.people)))

    def _leave(self) -> None:
        at = self._chance.randrange(len(self._rooms))
        owner = self._find_owner(at)
        others = sorted(number for number in self._members[at] if self.people[number] is not owner)
        if others:
            number = self._chance.choice(others)
            path = f"/api/rooms/{self._rooms[at]['id']}/members/{self.people[number].id}/"
            self._members[at].discard(number)
            assert owner.call("DELETE", path).status_code == 204


def give_key(person: Person) -> Person:
    """Return a person with an API key, which a long run does not outlive."""
    body = {"name": "canaries", "scopes": ["rooms", "knowledge:read", "knowledge:write"]}
    secret = person.call("POST", "/api/users/api-keys/", body).get_json()["secret"]
    return Person(person.client, person.name, person.id, secret, "")


def find_canaries(text: str) -> set[int]:
    """Return the numbers of the canaries in a text."""
    return {int(number) for number in CANARY.findall(text)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    count = parser.parse_args().questions
    with tempfile.TemporaryDirectory() as folder:
        Server(Path(folder)).migrate()
        app = applications.build(Path(folder), DATABASE_URL="sqlite:///chatbot.db")
        canaries = Canaries(app, users=50, rooms=30)
        for number in range(1, count + 1):
            canaries.ask()
            if number % 100 == 0 and sys.stderr.isatty():
                sys.stderr.write(f"\r{number} of {count} questions")
        applications.end(app)
    print(
        f"{count} questions, {canaries.changes} changes, {canaries.found_by_owners} found by owners: no foreign canary."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
