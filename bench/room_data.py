"""Users, their tokens and their rooms, for the benchmark of rooms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

import config
from chatbot import create_app
from chatbot.database.transactions import write
from chatbot.database.types import uuid7
from chatbot.models import Room, RoomMember
from chatbot.services.accounts import authentication, sessions
from chatbot.services.accounts.callers import Caller
from chatbot.services.operations import seeding
from chatbot.services.rooms import messages, rooms
from tests.support.processes import Server


@dataclass(frozen=True)
class User:
    """A user with a session."""

    token: str
    caller: Caller


@dataclass
class Data:
    """The users and rooms of a server; a room's members are some of the users in a row."""

    server: Server

    def __post_init__(self) -> None:
        environment = self.server.environment
        self._app = create_app(config.load(environment, env_file=self.server.folder / ".env"))
        self.users: list[User] = []

    def add_users(self, number: int) -> None:
        """Make users, each with a session."""
        with self._app.app_context():
            seeding.users(number)
            for one in range(number):
                token = sessions.log_in(f"bench-{one}@example.com", seeding.PASSWORD).access_token
                self.users.append(User(token, authentication.authenticate(token)))

    def add_room(self, members: Sequence[User]) -> str:
        """Make a room of the first user, with the others as members."""
        with self._app.app_context():
            room = rooms.create(members[0].caller, {"name": "bench"})
            with write("seed_members") as connection:
                rows = list(_describe_members(room.id, members[1:]))
                connection.execute(sa.insert(RoomMember), rows)
                counts = {"members": len(members), "rev": len(members)}
                connection.execute(sa.update(Room).where(Room.id == room.id).values(counts))
        return str(room.id)

    def add_messages(self, room_id: str, author: User, number: int) -> None:
        """Write messages into a room."""
        with self._app.app_context():
            for one in range(number):
                messages.post(author.caller, UUID(room_id), f"message {one}, of a usual length: some ten words or so.")


def _describe_members(room_id: UUID, members: Sequence[User]) -> Iterator[dict[str, object]]:
    for rev, member in enumerate(members, start=2):
        user_id = member.caller.user_id
        yield {"id": uuid7(), "room_id": room_id, "user_id": user_id, "role": "member", "rev": rev}
