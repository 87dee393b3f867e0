"""The bot of rooms over WebSocket: an answer in pieces, and as it is stored."""

import pytest

from tests.support.sockets import Member, SocketClient
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.measured]


def test_answer_reaches_all_members_and_another_of_the_asker_alone(ada: Member, eve: Member, room_id: str) -> None:
    with ada.connect() as hers, eve.connect() as mine:
        for client in (hers, mine):
            client.call("join", room_id=room_id)
        asked = hers.call("message", room_id=room_id, text="@bot [[slow 3]] Where is the lake?")
        wait_for(lambda: "bot_done" in hers.names() and "bot_done" in mine.names())
        answers = [read_answer(client) for client in (hers, mine)]
        assert answers[0]["text"] == answers[1]["text"]
        assert (answers[1]["kind"], answers[1]["status"], answers[1]["author"]) == ("bot", "completed", None)
        assert answers[1]["seq"] > asked["seq"]
        private = hers.call("message", room_id=room_id, text="@bot! And the boat?")
        wait_for(lambda: hers.names().count("bot_done") == 2)
        hers.call("message", room_id=room_id, text="to all")
        wait_for(lambda: "to all" in mine.texts())
        assert mine.names().count("bot_done") == 1
        assert private["seq"] > answers[0]["seq"]


def read_answer(client: SocketClient) -> dict[str, object]:
    """Return the first answer that ended; the pieces before it are its text."""
    answer = next(data["message"] for name, data in client.events if name == "bot_done")
    pieces = [data for name, data in client.events if name == "bot_delta" and data["message_id"] == answer["id"]]
    text = ""
    for piece in sorted(pieces, key=lambda one: int(one["offset"])):
        text = text[: piece["offset"]] + piece["text"]
    assert pieces, "the answer came without pieces"
    assert text
    assert answer["text"].startswith(text)
    result: dict[str, object] = answer
    return result
