"""No canary of a document reaches a user without the right to read it; a test of the test, too."""

import pytest
from flask import Flask

from chatbot.services.rooms.bot.audience import RoomAudience
from tests.support.room_canaries import Canaries

pytestmark = [pytest.mark.both_databases, pytest.mark.slow]


def test_bots_tell_nobody_what_they_may_not_read(app: Flask) -> None:
    canaries = Canaries(app, users=12, rooms=6)
    for _ in range(80):
        canaries.ask()
    assert canaries.found_by_owners
    assert canaries.changes


def test_search_by_the_rights_of_the_asker_alone_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoomAudience, "users", None)
    canaries = Canaries(app, users=12, rooms=6)
    with pytest.raises(AssertionError, match="FOREIGN"):
        for _ in range(80):
            canaries.ask()
