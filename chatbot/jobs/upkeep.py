"""Keeps leases, ends abandoned turns, stores uses of credentials, sums usage, sends mails and erases accounts.

A loop on steady time: APScheduler waits by the wall clock, and one that is set back would cost turns their leases.
"""

from collections.abc import Callable

from flask import Flask

from chatbot.database.sqlite import checkpoints
from chatbot.database.state import get_database_state
from chatbot.services import periodic
from chatbot.services.accounts.mails import outbox
from chatbot.services.accounts.state import get_accounts_state
from chatbot.services.chat import maintenance
from chatbot.services.chat.search import results
from chatbot.services.operations import gauges
from chatbot.services.privacy import erasure
from chatbot.services.rooms.bot import queue
from chatbot.services.usage import hours

LEASE_INTERVAL_SECONDS = 5.0  # seconds; a third of a turn's lease
GAUGE_INTERVAL_SECONDS = 1.0  # seconds between two looks for the metrics, and for those who follow them
PROBE_INTERVAL_SECONDS = 30.0  # seconds between two looks whether the models' servers answer
USE_INTERVAL_SECONDS = 15.0  # seconds; credentials show the minute of their last use
FOLLOW_INTERVAL_SECONDS = 10.0  # seconds in which the index of the history forgets what was deleted
SUM_INTERVAL_SECONDS = 60.0  # seconds between two looks for an hour whose usage can be summed
LOOK_INTERVAL_SECONDS = 1.0  # seconds between two looks at what other processes are told


def start(app: Flask) -> None:
    """Start the loop; it ends with its process."""
    with app.app_context():
        checkpointer = get_database_state().checkpointer
        uses = get_accounts_state().uses
    work: list[tuple[float, Callable[[], object]]] = [
        (LEASE_INTERVAL_SECONDS, maintenance.keep_leases),
        (LOOK_INTERVAL_SECONDS, maintenance.apply_cancellations),
        (LOOK_INTERVAL_SECONDS, queue.start_waiting),
        (PROBE_INTERVAL_SECONDS, maintenance.probe_models),
        (FOLLOW_INTERVAL_SECONDS, results.follow),
        (GAUGE_INTERVAL_SECONDS, gauges.look),
        (USE_INTERVAL_SECONDS, uses.store),
        (SUM_INTERVAL_SECONDS, hours.sum_finished),
        (LOOK_INTERVAL_SECONDS, outbox.send_waiting),
        (LOOK_INTERVAL_SECONDS, erasure.erase_waiting),
        (LOOK_INTERVAL_SECONDS, uses.store_generations),
        (checkpoints.INTERVAL_SECONDS, checkpointer.checkpoint),
    ]
    if app.config["TURN_FLUSH_SECONDS"]:
        work.append((app.config["TURN_FLUSH_SECONDS"], maintenance.flush_texts))
    for seconds, task in work:
        periodic.every(app, seconds, task)
