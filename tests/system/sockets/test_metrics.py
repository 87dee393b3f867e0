"""Numbers of sockets at `/metrics`."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import Server, Upstream, running
from tests.support.sockets import NAMESPACES, Member, open_raw
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


def read_numbers(server: Server) -> dict[tuple[str, ...], float]:
    """Return the numbers by name and labels."""
    text = server.call("GET", "/metrics")[2].decode()
    return {
        (one.name, *(value for name, value in sorted(one.labels.items()) if name != "pid")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_sockets_are_counted(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, OPENAI_BASE_URL=upstream.url) as one:
        ada = Member(one, "ada")
        room_id = ada.call("POST", "/api/rooms/", {"name": "Lake"})["id"]
        with ada.connect() as first, ada.connect() as second, open_raw(one, ada.token, *NAMESPACES):
            for client in (first, second):
                client.call("join", room_id=room_id)
            first.call("message", room_id=room_id, text="Hi")
            wait_for(lambda: first.texts() == second.texts() == ["Hi"])
            found = read_numbers(one)
            assert found[("chatbot_sockets", "/rooms")] == 3
            assert found[("chatbot_sockets", "/chat")] == 1
            assert found[("chatbot_rooms_followed",)] == 1
            assert found[("chatbot_socket_events_total", "message", "/rooms")] == 2
            assert found[("chatbot_room_delivery_seconds_count",)] == 1
            assert 0 < found[("chatbot_room_delivery_seconds_sum",)] < 30
            ada.call("POST", "/api/users/logout/")
            wait_for(lambda: not (first.is_connected or second.is_connected))
        wait_for(lambda: read_numbers(one)[("chatbot_rooms_followed",)] == 0)
        found = read_numbers(one)
        assert found[("chatbot_sockets", "/rooms")] == found[("chatbot_sockets", "/chat")] == 0
        assert found[("chatbot_sockets_closed_total", "unauthenticated")] == 4
