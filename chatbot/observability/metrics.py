"""Metrics for Prometheus.

With PROMETHEUS_MULTIPROC_DIR, which gunicorn's arbiter sets, each process keeps its numbers in files there, and any of
them adds them up. The names follow Prometheus' conventions: units are seconds and bytes, counters end in `_total`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SLOW = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)

REQUESTS = Counter("chatbot_requests_total", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "chatbot_request_seconds", "Seconds until an answer began.", ["method", "route"], buckets=QUICK
)
TURNS = Counter(
    "chatbot_turns_total",
    "Turns that ended: completed, truncated, filtered, failed, cancelled, interrupted.",
    ["status"],
)
FIRST_TEXT_SECONDS = Histogram("chatbot_first_text_seconds", "Seconds until a turn's text began.", buckets=SLOW)
TURN_SECONDS = Histogram("chatbot_turn_seconds", "Seconds until a turn ended.", buckets=SLOW)
TOKENS = Counter(
    "chatbot_tokens_total", "Tokens of turns as the model's server counts them: prompt or completion.", ["kind"]
)
SUMMARIES = Counter(
    "chatbot_summaries_total", "Summaries of conversations that ended: stored, dropped or failed.", ["status"]
)
SUMMARY_TOKENS = Counter(
    "chatbot_summary_tokens_total", "Tokens of summaries as the model's server counts them.", ["kind"]
)
UPSTREAM_ERRORS = Counter(
    "chatbot_upstream_errors_total", "Failures of the model's server, by the class of the error.", ["error"]
)
DOCUMENTS = Counter("chatbot_documents_total", "Documents whose processing ended: ready or failed.", ["status"])
PURGED = Counter("chatbot_purged_total", "Rows that the purge deleted: turns, conversations or sessions.", ["what"])
SOCKET_EVENTS = Counter("chatbot_socket_events_total", "Events sent to sockets.", ["namespace", "event"])
SOCKETS_CLOSED = Counter(
    "chatbot_sockets_closed_total", "Connections of sockets that the server closed, by the code of `closing`.", ["code"]
)
ROOM_DELIVERY_SECONDS = Histogram(
    "chatbot_room_delivery_seconds",
    "Seconds from the writing of a room's message, in any process, until it was sent to the sockets of this one.",
    buckets=QUICK,
)
SOCKETS = Gauge("chatbot_sockets", "Open connections of sockets.", ["namespace"], multiprocess_mode="livesum")
ROOMS_FOLLOWED = Gauge(
    "chatbot_rooms_followed", "Rooms that sockets follow, in each process.", multiprocess_mode="livesum"
)

# Looked at every second by each process.
SLOTS = Gauge("chatbot_turn_slots", "Slots for turns: used, and all.", ["state"], multiprocess_mode="livesum")
CONNECTIONS = Gauge("chatbot_database_connections", "Database connections in use.", multiprocess_mode="livesum")
QUEUE = Gauge("chatbot_documents_waiting", "Documents that wait or are processed.", multiprocess_mode="livemostrecent")
BREAKERS = Gauge(
    "chatbot_breaker_open", "Processes whose breaker of a model is open.", ["model"], multiprocess_mode="livesum"
)
GAUGES = (SOCKETS, ROOMS_FOLLOWED, SLOTS, CONNECTIONS, QUEUE, BREAKERS)


def text() -> bytes:
    """Return all numbers in Prometheus' text format, those of all processes of this server together."""
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    return generate_latest(registry)


def read_gauges() -> dict[Gauge, dict[str, float]]:
    """Return the value of each gauge by its label, an empty text where it has none, of all processes together."""
    values = {
        family.name: {"".join(sample.labels.values()): sample.value for sample in family.samples}
        for family in _collect_gauges()
    }
    return {gauge: values.get(next(iter(gauge.describe())).name, {}) for gauge in GAUGES}


def _collect_gauges() -> Iterable[Metric]:
    """Return the families of the gauges alone: the files of counters and histograms are many times as long."""
    if FOLDER not in os.environ:
        return [family for gauge in GAUGES for family in gauge.collect()]
    files = [str(path) for path in Path(os.environ[FOLDER]).glob("gauge_*.db")]
    families: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # it has no types
    return families
