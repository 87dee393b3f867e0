"""The purge: deleted rows, kept rows, and the trusted clock."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask

from chatbot.database import leases
from chatbot.database.base import db
from chatbot.database.transactions import read, write
from chatbot.database.types import now
from chatbot.errors import Busy, LeaseLost
from chatbot.models import (
    ChatMessage,
    Conversation,
    ConversationShare,
    ConversationSummary,
    ConversationTag,
    Feedback,
    IdempotencyKey,
    Lease,
    Session,
    TurnLogPiece,
    TurnTrace,
)
from chatbot.services.operations import clock, retention
from tests.conftest import Person
from tests.support.plans import explain

pytestmark = pytest.mark.both_databases

MONTH = timedelta(days=30)


def age(message: str, days: float) -> None:
    """Make a turn as old as this."""
    with write("test") as connection:
        moment = now() - timedelta(days=days)
        connection.execute(db.update(ChatMessage).where(ChatMessage.user_message == message).values(created_at=moment))


def test_old_turns_go_and_young_ones_stay(app: Flask, ada: Person, eve: Person) -> None:
    old = ada.says("old").get_json()["conversation_id"]
    ada.says("young, in the same conversation", conversation_id=old)
    gone = eve.says("alone").get_json()["conversation_id"]
    with app.app_context():
        age("old", 30.01)
        age("alone", 400)
        age("young, in the same conversation", 29.99)
        assert retention.count(MONTH) == 2
        purged = retention.purge(MONTH)
        assert (purged.turns, purged.conversations) == (2, 1)
        with read() as connection:
            assert connection.scalar(db.select(Conversation.id).where(Conversation.id == UUID(old))) is not None
            assert connection.scalar(db.select(Conversation.id).where(Conversation.id == UUID(gone))) is None
    assert [turn["user_message"] for turn in ada.history()] == ["young, in the same conversation"]
    assert eve.history() == []


def test_purge_goes_through_no_changes_of_others(app: Flask, ada: Person) -> None:
    ada.says("old")
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            pytest.skip("the plan of SQLite, which PostgreSQL chooses by the rows that there are")
        age("old", 31)
        plans = explain(lambda: retention.purge(MONTH), "DELETE FROM sync_changes")
    assert any("'turn'" in statement for statement, _ in plans)
    assert not [plan for statement, plan in plans if "SCAN sync_changes" in plan], plans


def test_conversation_goes_on_after_its_beginning_is_gone(app: Flask, ada: Person) -> None:
    conversation = ada.says("old").get_json()["conversation_id"]
    ada.says("middle", conversation_id=conversation)
    with app.app_context():
        age("old", 31)
        retention.purge(MONTH)
    assert ada.says("new", conversation_id=conversation).status_code == 200


def test_read_mark_goes_with_its_turn(app: Flask, ada: Person) -> None:
    first = ada.says("old").get_json()
    path = f"/api/conversations/{first['conversation_id']}/"
    ada.says("young", conversation_id=first["conversation_id"])
    ada.call("PATCH", path, {"read_turn_id": first["id"]})
    with app.app_context():
        age("old", 31)
        retention.purge(timedelta(days=30))
    assert ada.call("GET", path).get_json()["read_turn_id"] is None


def test_sessions_go_when_they_expired_as_long_ago(app: Flask, ada: Person, eve: Person) -> None:
    with app.app_context():
        with write("test") as connection:
            connection.execute(
                db.update(Session).where(Session.user_id == UUID(eve.id)).values(expires_at=now() - timedelta(days=31))
            )
        assert retention.purge(MONTH).sessions == 1
        with read() as connection:
            assert connection.scalars(db.select(Session.user_id)).all() == [UUID(ada.id)]


def test_work_is_done_in_small_batches_each_committed(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        ada.says(f"m{number}")
        with app.app_context():
            age(f"m{number}", 40 + number)
    monkeypatch.setattr(retention, "BATCH", dict.fromkeys(retention.BATCH, 2))
    left: list[int] = []

    def look(_: int) -> None:
        with db.engine.connect() as connection:
            left.append(connection.scalar(db.select(db.func.count()).select_from(ChatMessage)) or 0)

    with app.app_context():
        assert retention.purge(MONTH, on_batch=look).turns == 5
    assert left == [3, 1, 0]


def test_turns_of_one_moment_all_go_however_batches_fall(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        ada.says(f"m{number}")
    monkeypatch.setattr(retention, "BATCH", dict.fromkeys(retention.BATCH, 2))
    moment = now() - timedelta(days=40)
    with app.app_context():
        with write("test") as connection:
            connection.execute(db.update(ChatMessage).values(created_at=moment))
        purged = retention.purge(MONTH)
    assert (purged.turns, purged.reached) == (5, moment)


def test_every_table_that_hangs_on_a_turn_or_a_conversation_is_known_here() -> None:
    """A new table fails this until it has its line in `retention._purge` and its test above."""
    names = {"chat_messages", "conversations"}
    hanging = {
        table.name
        for table in db.metadata.tables.values()
        if any(key.column.table.name in names for key in table.foreign_keys)
    }
    of_turns = {"turn_logs", "feedback", "idempotency_keys", "turn_traces"}
    of_conversations = {"chat_messages", "conversation_tags", "conversation_shares", "conversation_summaries"}
    assert hanging == of_turns | of_conversations


def test_pinned_conversations_stay(app: Flask, ada: Person) -> None:
    pinned = ada.says("stays").get_json()
    ada.says("goes")
    later = ada.says("goes too").get_json()
    ada.says("stays young", conversation_id=later["conversation_id"])
    path = f"/api/conversations/{pinned['conversation_id']}/"
    assert ada.call("PATCH", path, {"pinned": True}).status_code == 200
    with app.app_context():
        with write("test") as connection:
            old = ChatMessage.user_message != "stays young"
            connection.execute(db.update(ChatMessage).where(old).values(created_at=now() - timedelta(days=40)))
        purged = retention.purge(MONTH)
    assert (purged.turns, purged.conversations) == (2, 1)
    assert [turn["user_message"] for turn in ada.history()] == ["stays", "stays young"]
    listed = ada.call("GET", "/api/conversations/").get_json()["items"]
    assert [(one["title"], one["turns"]) for one in listed] == [("stays young", 1), ("stays", 1)]


def test_what_hangs_on_a_conversation_goes_with_it(context: Flask, ada: Person) -> None:
    turn = ada.says("old").get_json()
    conversation_id = UUID(turn["conversation_id"])
    assert ada.call("PATCH", f"/api/conversations/{conversation_id}/", {"tags": ["a"]}).status_code == 200
    with write("test") as connection:
        values = {"conversation_id": conversation_id, "last_sequence": 1}
        connection.execute(db.insert(ConversationSummary).values(text="said", **values))
        connection.execute(db.insert(ConversationShare).values(token_hash=b"x", expires_at=now(), **values))
        connection.execute(db.update(ChatMessage).values(created_at=now() - timedelta(days=40)))
    assert retention.purge(MONTH).conversations == 1
    with read() as connection:
        for table in (ConversationSummary, ConversationShare, ConversationTag):
            assert connection.execute(db.select(table.conversation_id)).all() == []


def test_what_hangs_on_a_turn_goes_with_it(context: Flask, ada: Person) -> None:
    for age in (40, 1):
        turn = ada.call("POST", "/api/chat/", {"message": "Hi"}, headers={"Idempotency-Key": f"key {age}"}).get_json()
        ada.call("PUT", f"/api/chat/{turn['id']}/feedback/", {"rating": 1, "comment": "fine"})
        with write("test") as connection:
            turn_id = UUID(turn["id"])
            connection.execute(db.insert(TurnLogPiece).values(turn_id=turn_id, start=0, text="left over"))
            connection.execute(db.insert(TurnTrace).values(turn_id=turn_id, facts={}))
            moment = now() - timedelta(days=age)
            connection.execute(db.update(ChatMessage).where(ChatMessage.id == turn_id).values(created_at=moment))
    assert retention.purge(MONTH).turns == 1
    with read() as connection:
        for table in (TurnLogPiece, Feedback, IdempotencyKey, TurnTrace):
            assert connection.execute(db.select(table.turn_id)).scalars().all() == [turn_id]


def test_keys_go_after_a_day(context: Flask, ada: Person) -> None:
    for key in ("old", "new"):
        ada.call("POST", "/api/chat/", {"message": "Hi"}, headers={"Idempotency-Key": key})
    with write("test") as connection:
        past = now() - timedelta(hours=25)
        connection.execute(db.update(IdempotencyKey).where(IdempotencyKey.key == "old").values(created_at=past))
    retention.purge(MONTH)
    with read() as connection:
        assert connection.execute(db.select(IdempotencyKey.key)).scalars().all() == ["new"]
    assert len(ada.history()) == 2


def test_shares_go_when_they_expire(context: Flask, ada: Person) -> None:
    path = f"/api/conversations/{ada.says('hello').get_json()['conversation_id']}/shares/"
    old, new = (ada.call("POST", path, {}).get_json()["id"] for _ in range(2))
    with write("test") as connection:
        is_old = ConversationShare.id == UUID(old)
        past = now() - timedelta(seconds=1)
        connection.execute(db.update(ConversationShare).where(is_old).values(expires_at=past))
    retention.purge(MONTH)
    with read() as connection:
        assert connection.execute(db.select(ConversationShare.id)).scalars().all() == [UUID(new)]


def test_second_purge_at_the_same_time_is_refused(context: Flask) -> None:
    held = leases.acquire("purge", timedelta(minutes=1))
    assert held is not None
    with pytest.raises(Busy):
        retention.purge(MONTH)
    assert retention.purge_if_due(MONTH, clock.Watch()) is None
    leases.release(held, completed=False)
    assert retention.purge(MONTH).turns == 0


def test_leader_that_slept_too_long_is_fenced_off(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        ada.says(f"m{number}")
        with app.app_context():
            age(f"m{number}", 40)
    monkeypatch.setattr(retention, "BATCH", dict.fromkeys(retention.BATCH, 2))

    def overtaken(_: int) -> None:
        with write("test") as connection:  # its lease ran out while it slept
            connection.execute(db.update(Lease).values(expires_at=now() - timedelta(seconds=1)))
        assert leases.acquire("purge", timedelta(minutes=1)) is not None

    with app.app_context(), pytest.raises(LeaseLost):
        retention.purge(MONTH, on_batch=overtaken)
    assert len(ada.history()) == 2


def test_daily_purge_runs_once_a_day_however_many_look(context: Flask) -> None:
    first = clock.Watch()
    second = clock.Watch()
    assert retention.purge_if_due(MONTH, first) is not None
    assert retention.purge_if_due(MONTH, second) is None
    assert retention.purge_if_due(MONTH, first) is None
    with write("test") as connection:
        connection.execute(db.update(Lease).values(last_run_at=now() - timedelta(days=1, seconds=1)))
    assert retention.purge_if_due(MONTH, second) is not None
    assert retention.purge_if_due(MONTH, first) is None


def test_lease_row_is_made_once(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    leases.ensure("work")
    monkeypatch.setattr("sqlalchemy.Connection.scalar", lambda *_: None)  # the other process commits after our look
    leases.ensure("work")
    with read() as connection:
        assert connection.scalars(db.select(Lease.name).where(Lease.name == "work")).all() == ["work"]


def test_moment_without_zone_is_refused(context: Flask) -> None:
    with pytest.raises(Exception, match="zone"), write("test") as connection:
        connection.execute(db.update(Lease).values(expires_at=datetime(2026, 1, 1)))


def test_purge_that_another_process_did_meanwhile_is_not_done_again(
    context: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks before it has the lease: the second holder looks again."""
    acquire = leases.acquire
    done = []

    def late(name: str, length: timedelta) -> leases.Held | None:
        if not done:
            done.append(1)
            assert retention.purge_if_due(timedelta(days=30), clock.Watch()) is not None  # by the other one
        return acquire(name, length)

    monkeypatch.setattr(leases, "acquire", late)
    assert retention.purge_if_due(timedelta(days=30), clock.Watch()) is None
    assert acquire("purge", timedelta(seconds=1)) is not None  # and is free for the next one


def test_copies_of_a_fork_that_broke_off_go(context: Flask, ada: Person) -> None:
    turn = ada.says("words").get_json()
    fork = ada.call("POST", f"/api/conversations/{turn['conversation_id']}/fork/", {}).get_json()
    with write("test") as connection:
        draft = Conversation.id == UUID(fork["id"])
        old = {"listed": False, "created_at": now() - timedelta(hours=2)}
        connection.execute(db.update(Conversation).where(draft).values(**old))
    retention.purge(MONTH)
    with read() as connection:
        assert connection.scalars(db.select(Conversation.id)).all() == [UUID(turn["conversation_id"])]
        assert connection.scalars(db.select(ChatMessage.id)).all() == [UUID(turn["id"])]
