"""Numbers for Prometheus: access to them, and their correctness."""

from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from chatbot.rag.errors import UpstreamBusy
from chatbot.rag.llms.memory import MemoryLLM
from chatbot.services import periodic
from chatbot.services.operations import gauges
from tests.api.test_documents import HOURS, send, work
from tests.conftest import MakeApp, Person

ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}


def numbers(app: Flask) -> dict[tuple[str, ...], float]:
    """Return the counted values by name and labels."""
    response = app.test_client().get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.get_data(as_text=True))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


class Grown:
    """The growth of counters since it was made; other tests count too."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._before = numbers(app)

    def by(self, *name: str) -> float:
        return numbers(self._app).get(name, 0.0) - self._before.get(name, 0.0)


def test_turns_are_counted_by_how_they_ended(app: Flask, ada: Person, llm: MemoryLLM) -> None:
    grown = Grown(app)
    ada.says("Hi")
    ada.says("Hi again")
    llm.fails(UpstreamBusy())
    assert ada.says("Hi").status_code == 503
    assert grown.by("chatbot_turns_total", "completed") == 2
    assert grown.by("chatbot_turns_total", "failed") == 1
    assert grown.by("chatbot_upstream_errors_total", "UpstreamBusy") == 1
    assert grown.by("chatbot_first_text_seconds_count") == 2
    assert grown.by("chatbot_turn_seconds_count") == 3
    assert grown.by("chatbot_tokens_total", "completion") > 0
    assert grown.by("chatbot_requests_total", "POST", "/api/chat/", "200") == 2
    assert grown.by("chatbot_request_seconds_count", "POST", "/api/chat/") == 3


def test_routes_are_named_and_not_addresses(app: Flask, ada: Person) -> None:
    turn = ada.says("Hi").get_json()["id"]
    grown = Grown(app)
    ada.call("GET", f"/api/chat/{turn}/")
    ada.client.open("/nowhere/at/all", method="BREW")
    assert grown.by("chatbot_requests_total", "GET", "/api/chat/<uuid:turn_id>/", "200") == 1
    assert turn not in app.test_client().get("/metrics").get_data(as_text=True)
    assert "BREW" not in app.test_client().get("/metrics").get_data(as_text=True)


def test_documents_and_gauges_are_counted(app: Flask, ada: Person) -> None:
    grown = Grown(app)
    send(ada, "Hours", HOURS)
    periodic.run(app, gauges.look)
    assert numbers(app)["chatbot_documents_waiting",] == 1
    work(app)
    send(ada, "Blank", " ")
    work(app)
    periodic.run(app, gauges.look)
    found = numbers(app)
    assert found["chatbot_documents_waiting",] == 0
    assert (grown.by("chatbot_documents_total", "ready"), grown.by("chatbot_documents_total", "failed")) == (1, 1)
    assert (found["chatbot_turn_slots", "used"], found["chatbot_turn_slots", "all"]) == (0, 2048)
    assert found["chatbot_breaker_open", "gpt-3.5-turbo"] == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"environ_base": ELSEWHERE}, 401),
        ({"environ_base": ELSEWHERE, "headers": {"Authorization": "Bearer a-token-of-the-operator"}}, 200),
        ({"environ_base": ELSEWHERE, "headers": {"Authorization": "Bearer another"}}, 401),
        ({"headers": {"X-Forwarded-For": "127.0.0.1"}}, 401),  # a proxy on this machine that is not told of
        ({"environ_base": {"REMOTE_ADDR": "::1"}}, 200),
        ({"environ_base": {"REMOTE_ADDR": ""}}, 401),
    ],
)
def test_only_this_machine_and_the_token_see_them(make_app: MakeApp, sent: dict[str, Any], status: int) -> None:
    client = make_app(METRICS_TOKEN="a-token-of-the-operator").test_client()
    assert client.get("/metrics", **sent).status_code == status


def test_without_a_token_nobody_else_sees_them(app: Flask, ada: Person) -> None:
    assert ada.call("GET", "/metrics", environ_base=ELSEWHERE).status_code == 401
