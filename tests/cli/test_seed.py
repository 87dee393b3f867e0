"""`flask seed bench`: made-up data that is as good as grown data."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.database.transactions import read
from chatbot.database.types import now
from chatbot.models import ChatMessage, Chunk, Conversation, User
from chatbot.services.knowledge import verification
from chatbot.services.operations import retention, seeding
from tests.api.test_documents import find
from tests.conftest import MakeApp, Person

pytestmark = pytest.mark.both_databases

SMALL = ["seed", "bench", "--users", "5", "--turns", "3000", "--passages", "120"]


@pytest.fixture
def seeded(app: Flask) -> Flask:
    ended = app.test_cli_runner().invoke(args=SMALL)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == f"Made 5 users, 3000 turns, 120 passages; the password of each: {seeding.PASSWORD}\n"
    assert ended.stderr == ""
    return app


def logged_in(app: Flask, number: int) -> Person:
    client = app.test_client()
    body = {"email": f"bench-{number}@example.com", "password": seeding.PASSWORD}
    pair = client.post("/api/users/login/", json=body).get_json()
    return Person(client, "", "", pair["access_token"], pair["refresh_token"])


def test_shares_are_those_that_are_told() -> None:
    assert seeding.counts(5, 3_000) == [1_500, 150, 100, 625, 625]
    assert sum(seeding.counts(1_000, 2_000_000)) == 2_000_000
    assert seeding.counts(1_000, 2_000_000)[:3] == [1_000_000, 100_000, 100]


def test_seeded_users_log_in_read_and_write(seeded: Flask) -> None:
    few = logged_in(seeded, 2)
    turns = few.history("?limit=100")
    assert len(turns) == 100
    assert {turn["status"] for turn in turns} == {"completed"}
    conversation = turns[0]["conversation_id"]
    assert few.says("And now?", conversation_id=conversation).status_code == 200
    assert len(find(logged_in(seeded, 0), "word1 word2 word3", limit=50, per_document=50)) > 10


def test_seeded_users_see_their_conversations_and_follow_their_changes(seeded: Flask) -> None:
    few = logged_in(seeded, 2)
    shown = few.call("GET", "/api/conversations/?limit=100").get_json()["items"]
    assert [one["turns"] for one in shown] == [seeding.PER_CONVERSATION] * (100 // seeding.PER_CONVERSATION)
    assert all(one["title"] and not one["unread"] for one in shown)
    path = "/api/sync/?limit=1000&window=0"
    page = few.call("GET", path).get_json()
    rest = few.call("GET", f"{path}&since={page['next_cursor']}").get_json()
    turns = [item["data"]["created_at"] for item in rest["items"] if item["type"] == "turn"]
    assert len(rest["items"]) == 110
    assert len(turns) == 100
    assert turns == sorted(turns, reverse=True)
    owner = logged_in(seeded, 0).call("GET", "/api/sync/?limit=1000&window=0").get_json()
    rest = logged_in(seeded, 0).call("GET", f"/api/sync/?limit=5&since={owner['next_cursor']}").get_json()
    assert [item["type"] for item in rest["items"]] == [*["document"] * 3, "collection", "conversation", "turn"]


def test_half_of_the_turns_is_older_than_the_retention_and_all_is_sound(seeded: Flask) -> None:
    with seeded.app_context():
        assert list(verification.verify(lambda _: None)) == []
        assert 1_490 <= retention.count(timedelta(days=30)) <= 1_510
        with read() as connection:
            tables = (User, ChatMessage, Chunk)
            counts = [connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]
            assert counts == [5, 3_000, 120]
            newest = connection.scalar(sa.select(sa.func.max(ChatMessage.created_at)))
            assert newest is not None
            assert timedelta(0) <= now() - newest < timedelta(hours=1)
            longest = connection.scalar(sa.select(sa.func.max(ChatMessage.sequence)))
            assert longest == connection.scalar(sa.select(sa.func.max(Conversation.last_sequence)))


def test_second_time_and_production_are_refused(seeded: Flask, make_app: MakeApp) -> None:
    again = seeded.test_cli_runner().invoke(args=SMALL)
    assert (again.exit_code, again.stderr) == (1, "Error: The users of a benchmark are there already.\n")
    secrets = {"SECRET_KEY": "Kq3-x8Vb_Zp5Rt7Lw2Yn9Cm4Hd6Js1Tr", "JWT_SECRET_KEY": "Ub7_e2Xo-Qf9Gi4Wz6Ka8Pv3Ml5Nt0Ye"}
    production = make_app(APP_ENV="production", BCRYPT_ROUNDS="12", **secrets)
    refused = production.test_cli_runner().invoke(args=SMALL)
    assert (refused.exit_code, refused.stderr) == (1, "Error: Made-up data is not for production.\n")


def test_postgresql_knows_how_much_was_made(seeded: Flask) -> None:
    with seeded.app_context(), read() as connection:
        if connection.dialect.name != "postgresql":
            pytest.skip("SQLite counts nothing beforehand")
        known = "SELECT reltuples FROM pg_class WHERE oid = CAST('chat_messages' AS regclass)"
        assert connection.scalar(sa.text(known)) == 3_000
