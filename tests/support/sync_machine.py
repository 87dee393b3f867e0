"""Random changes of a user's data, and replicas that sync at random moments between them."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from chatbot.database.transactions import write
from chatbot.database.types import now, uuid7
from chatbot.models import ChatMessage, SyncState
from chatbot.services.chat import maintenance
from chatbot.services.operations import retention
from chatbot.services.sync import changes
from chatbot.services.sync.changes import Change
from tests.api.test_documents import work
from tests.conftest import join
from tests.support.replica import Replica, Thing, read_server
from tests.support.room_rules import RoomRules

NUMBER = st.integers(0, 1_000)
WINDOWS = ((1, 0), (2, 1), (7, 2), (1_000, 20))  # limit and window of each replica
AGES = (10, 25, 40)  # days
RETENTIONS = (5, 20, 30)
RUNNING = ("pending", "streaming")
_names = itertools.count()


def _strip(things: dict[Thing, dict[str, Any]]) -> dict[Thing, dict[str, Any]]:
    """Remove the derived parts of data: quotes of documents, and the text of a running turn."""
    stripped = {}
    for thing, data in things.items():
        kept = dict(data)
        if thing[0] == "turn":
            omitted = {"quote", "stale"}
            kept["citations"] = [
                {name: value for name, value in one.items() if name not in omitted} for one in data["citations"]
            ]
        named = f"{data['room_id']}/{data['user_id']}" if thing[0] == "membership" else thing[1]
        stripped[thing[0], named] = kept
    return stripped


class SyncMachine(RoomRules, RuleBasedStateMachine):
    """A user with replicas, and another one with a shared collection and shared rooms."""

    app: Flask

    @initialize()
    def sign_up(self) -> None:
        number = next(_names)
        self.ada = join(self.app.test_client(), f"ada{number}")
        self.eve = join(self.app.test_client(), f"eve{number}")
        self.replicas = [Replica(self.ada, limit=limit, window=window) for limit, window in WINDOWS]
        self.replicas.append(Replica(self.eve, limit=3, window=1))
        self.deleted: set[Thing] = set()
        self.collection: str = self.ada.call("POST", "/api/collections/", {"name": "Books"}).get_json()["id"]
        read_server(self.ada)  # makes the default collection
        read_server(self.eve)

    # Devices.

    @rule(number=NUMBER)
    def sync(self, number: int) -> None:
        replica = self.replicas[number % len(self.replicas)]
        replica.sync()
        _require_equal(replica)
        assert not self.deleted & replica.things.keys()

    @rule(number=NUMBER)
    def sync_page(self, number: int) -> None:
        self.replicas[number % len(self.replicas)].sync_page()

    @rule(number=NUMBER)
    def forget(self, number: int) -> None:
        at = number % len(WINDOWS)
        limit, window = WINDOWS[at]
        self.replicas[at] = Replica(self.ada, limit=limit, window=window)

    def teardown(self) -> None:
        for replica in getattr(self, "replicas", ()):
            replica.sync()
            _require_equal(replica)
            assert not self.deleted & replica.things.keys()

    # Turns and conversations.

    def conversations(self) -> list[dict[str, Any]]:
        paths = ("/api/conversations/?limit=100", "/api/conversations/?limit=100&archived=true")
        found = [one for path in paths for one in self.ada.call("GET", path).get_json()["items"]]
        return sorted(found, key=lambda one: str(one["id"]))

    def pick(self, number: int) -> dict[str, Any] | None:
        found = self.conversations()
        return found[number % len(found)] if found else None

    def pick_turn(self, number: int) -> dict[str, Any] | None:
        found = self.ada.history("?limit=100")
        return found[number % len(found)] if found else None

    def change(self, method: str, path: str, body: Any = None, *, refused: tuple[int, ...] = ()) -> int:
        status = self.ada.call(method, path, body).status_code
        assert status < 300 or status in refused, (method, path, status)
        return status

    @rule(number=NUMBER, opens=st.booleans())
    def send(self, number: int, opens: bool) -> None:
        conversation = None if opens else self.pick(number)
        fields = {} if conversation is None else {"conversation_id": conversation["id"]}
        status = self.ada.says(f"m{number}", **fields).status_code
        assert status in {200, 409}

    @rule(
        number=NUMBER, values=st.sampled_from([{"title": "New"}, {"title": None}, {"tags": ["a", "b"]}, {"tags": []}])
    )
    def describe(self, number: int, values: dict[str, Any]) -> None:
        self.patch(number, values)

    @rule(number=NUMBER, is_set=st.booleans())
    def pin(self, number: int, is_set: bool) -> None:
        self.patch(number, {"pinned": is_set})

    @rule(number=NUMBER, is_set=st.booleans())
    def archive(self, number: int, is_set: bool) -> None:
        self.patch(number, {"archived": is_set})

    @rule(number=NUMBER)
    def mark_read(self, number: int) -> None:
        turn = self.pick_turn(number)
        if turn:
            self.change("PATCH", f"/api/conversations/{turn['conversation_id']}/", {"read_turn_id": turn["id"]})

    def patch(self, number: int, values: dict[str, Any]) -> None:
        conversation = self.pick(number)
        if conversation:
            self.change("PATCH", f"/api/conversations/{conversation['id']}/", values)

    @rule(number=NUMBER)
    def regenerate(self, number: int) -> None:
        turn = self.pick_turn(number)
        if turn:
            self.change("POST", f"/api/chat/{turn['id']}/regenerate/", refused=(409,))

    @rule(number=NUMBER)
    def fork(self, number: int) -> None:
        turn = self.pick_turn(number)
        if turn:
            path = f"/api/conversations/{turn['conversation_id']}/fork/"
            self.change("POST", path, {"turn_id": turn["id"]}, refused=(404,))

    @rule(number=NUMBER)
    def delete_turn(self, number: int) -> None:
        turn = self.pick_turn(number)
        if turn:
            self.change("DELETE", f"/api/chat-history/{turn['id']}/")
            self.deleted.add(("turn", turn["id"]))

    @rule(number=NUMBER)
    def delete_conversation(self, number: int) -> None:
        conversation = self.pick(number)
        if conversation:
            self.change("DELETE", f"/api/conversations/{conversation['id']}/")
            self.deleted.add(("conversation", conversation["id"]))

    @rule(number=st.integers(0, 9))
    def delete_history(self, number: int) -> None:
        if number == 0:
            self.deleted |= {("turn", turn["id"]) for turn in self.ada.history("?limit=100")}
            self.deleted |= {("conversation", one["id"]) for one in self.conversations()}
            self.change("DELETE", "/api/chat-history/")

    # Collections and documents.

    @rule(number=NUMBER, in_default=st.booleans())
    def add_document(self, number: int, in_default: bool) -> None:
        fields = {} if in_default else {"collection_id": self.collection}
        body = {"title": f"d{number}", "text": f"A text of number {number}.", **fields}
        assert self.ada.call("POST", "/api/documents/", body).status_code in {200, 202}

    @rule()
    def ingest(self) -> None:
        work(self.app)

    @rule(number=NUMBER)
    def delete_document(self, number: int) -> None:
        found = self.ada.call("GET", "/api/documents/").get_json()["items"]
        if found:
            document = found[number % len(found)]
            self.change("DELETE", f"/api/documents/{document['id']}/")
            self.deleted.add(("document", document["id"]))

    @rule(action=st.sampled_from(["invite", "accept", "remove", "rename"]))
    def share(self, action: str) -> None:
        path = f"/api/collections/{self.collection}/"
        member = f"{path}members/{self.eve.id}/"
        if action == "invite":
            self.change("PUT", member, {"role": "reader"}, refused=(409,))
        elif action == "accept":
            self.eve.call("POST", f"/api/invitations/{self.collection}/accept/")
        elif action == "remove":
            self.change("DELETE", member, refused=(404,))
        else:
            self.change("PATCH", path, {"name": f"Books {next(_names)}"})

    @rule()
    def replace_collection(self) -> None:
        self.change("DELETE", f"/api/collections/{self.collection}/")
        self.deleted.add(("collection", self.collection))
        self.collection = self.ada.call("POST", "/api/collections/", {"name": "Books"}).get_json()["id"]

    # Time, crashes and restores.

    @rule(number=NUMBER, days=st.sampled_from(AGES))
    def age(self, number: int, days: int) -> None:
        """Let a conversation's turns up to one be older."""
        turn = self.pick_turn(number)
        if turn is None:
            return
        with self.app.app_context(), write("test") as connection:
            of_home = (ChatMessage.conversation_id == UUID(turn["conversation_id"]), ChatMessage.listed)
            last = sa.select(ChatMessage.sequence).where(ChatMessage.id == UUID(turn["id"])).scalar_subquery()
            older = sa.update(ChatMessage).where(*of_home, ChatMessage.sequence <= last)
            moment = now() - timedelta(days=days)
            rows = connection.execute(
                older.where(ChatMessage.created_at > moment)
                .values(created_at=moment)
                .returning(ChatMessage.id, ChatMessage.active)
            ).all()
            self._record(connection, turn, [row.id for row in rows if row.active])
        for row in rows:
            self._age_on_devices(str(row.id))

    def _age_on_devices(self, turn_id: str) -> None:
        """Age the copies of a turn too: by their age, devices forget turns that the purge deletes."""
        for replica in self.replicas:
            if known := replica.things.get(("turn", turn_id)):
                known["created_at"] = self.ada.call("GET", f"/api/chat/{turn_id}/").get_json()["created_at"]

    @rule(days=st.sampled_from(RETENTIONS))
    def purge(self, days: int) -> None:
        with self.app.app_context():
            retention.purge(timedelta(days=days), force=True)

    @rule(number=NUMBER)
    def interrupt(self, number: int) -> None:
        """Leave a turn as a process does that was killed."""
        turn = self.pick_turn(number)
        if turn is None or self._newest(turn) != turn["id"]:
            return
        with self.app.app_context(), write("test") as connection:
            lost = {"status": "streaming", "bot_response": "", "completed_at": None, "lease_token": uuid7()}
            past = now() - timedelta(days=1)
            this = sa.update(ChatMessage).where(ChatMessage.id == UUID(turn["id"]))
            connection.execute(this.values(**lost, lease_expires_at=past))
            self._record(connection, turn, [UUID(turn["id"])])

    @rule()
    def reap(self) -> None:
        with self.app.app_context():
            maintenance.close_abandoned()

    @rule(number=st.integers(0, 3))
    def restore(self, number: int) -> None:
        """Have a database in which the last change of a turn never was, as after a restore."""
        if number:
            return
        with self.app.app_context(), write("test") as connection:
            connection.execute(sa.update(SyncState).values(epoch=uuid7()))
            of_ada = sa.update(ChatMessage).where(ChatMessage.user_id == UUID(self.ada.id))
            connection.execute(of_ada.values(user_message=ChatMessage.user_message + " restored"))

    def _newest(self, turn: dict[str, Any]) -> str:
        path = f"?limit=1&order=desc&conversation_id={turn['conversation_id']}"
        (newest,) = self.ada.history(path)
        return str(newest["id"])

    def _record(self, connection: sa.Connection, turn: dict[str, Any], ids: list[UUID]) -> None:
        home = Change("conversation", UUID(turn["conversation_id"]))
        changes.record(connection, UUID(self.ada.id), [home, *changes.changed("turn", ids)])


def _require_equal(replica: Replica) -> None:
    expected = _strip(read_server(replica.person))
    found = _strip(replica.things)
    assert found.keys() == expected.keys()
    for thing, data in expected.items():
        assert found[thing] == data, thing
