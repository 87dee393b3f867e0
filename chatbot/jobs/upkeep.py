"""Keeps the leases of this process's turns, and closes abandoned turns.

A loop on steady time: APScheduler waits by the wall clock, and one that is set back would cost turns their leases.
"""

from collections.abc import Callable

from flask import Flask

from chatbot.database.sqlite import checkpoints
from chatbot.services import periodic
from chatbot.services.chat import maintenance
from chatbot.services.operations import gauges

EVERY_LEASE = 5.0  # seconds; a third of a turn's lease
EVERY_GAUGE = 5.0  # seconds between two looks for the metrics
EVERY_LOOK = 1.0  # seconds between two looks for turns that were cancelled through another process


def start(app: Flask) -> None:
    """Start the loop; it ends with its process."""
    work: list[tuple[float, Callable[[], object]]] = [
        (EVERY_LEASE, maintenance.keep_leases),
        (EVERY_LOOK, maintenance.apply_cancellations),
        (EVERY_GAUGE, gauges.look),
        (checkpoints.EVERY, checkpoints.checkpoint),
    ]
    if app.config["TURN_FLUSH_SECONDS"]:
        work.append((app.config["TURN_FLUSH_SECONDS"], maintenance.flush_texts))
    for seconds, task in work:
        periodic.every(app, seconds, task)
