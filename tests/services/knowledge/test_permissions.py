"""Rights to collections as conditions: of one user, and of all users that a query finds."""

import random
from itertools import combinations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read, write
from chatbot.database.types import uuid7
from chatbot.models import Collection, CollectionMember, User
from chatbot.services.accounts.callers import Caller
from chatbot.services.knowledge import permissions
from tests.conftest import join

pytestmark = pytest.mark.both_databases

VISIBILITIES = ("private", "shared")
STATES = ("invited", "accepted", "left", None)


def test_all_users_may_read_what_each_may_read(app: Flask) -> None:
    people = [join(app.test_client(), f"user{number}") for number in range(4)]
    chance = random.Random(0)
    with app.app_context():
        with write("test") as connection:
            connection.execute(sa.update(User).where(User.username == "user0").values(role="admin"))
            ids = list(connection.scalars(sa.select(User.id).order_by(User.username)))
            for number in range(40):
                collection_id = uuid7()
                values = {"id": collection_id, "owner_id": chance.choice([*ids, None]), "name": str(number)}
                connection.execute(sa.insert(Collection).values(**values, visibility=chance.choice(VISIBILITIES)))
                for user_id in ids:
                    if state := chance.choice(STATES):
                        member = {"collection_id": collection_id, "user_id": user_id, "role": "reader", "state": state}
                        connection.execute(sa.insert(CollectionMember).values(member))
        with read() as connection:
            roles = {user_id: "admin" if number == 0 else "user" for number, user_id in enumerate(ids)}
            by_user = {
                user_id: set(
                    connection.scalars(
                        sa.select(Collection.id).where(permissions.may_read(Caller(user_id, user_id, role)))
                    )
                )
                for user_id, role in roles.items()
            }
            assert 0 < min(len(found) for found in by_user.values()) < len(people) * 10
            for size in range(1, 5):
                for users in combinations(ids, size):
                    condition = permissions.may_all_read(sa.select(User.id).where(User.id.in_(users)))
                    found = set(connection.scalars(sa.select(Collection.id).where(condition)))
                    assert found == set.intersection(*(by_user[one] for one in users))
